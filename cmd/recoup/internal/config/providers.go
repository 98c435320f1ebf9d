package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/gateway/dialect"
)

// dialectNone is a provider whose calls are passed through and not drained.
const dialectNone = "none"

var (
	providerName = regexp.MustCompile(`^[a-z0-9-]+$`)
	// reserved are first segments of paths that mean something else.
	reserved = []string{"v1", "v1beta", "v1alpha", "v1beta1", "recoup", "healthz", "metrics"}
)

// member is one setting of a provider.
type member struct {
	name string
	want string
	set  func(p *gateway.Provider, text string) error
}

var members = []member{
	{"base_url", "http://host or https://host", setBaseURL},
	{"dialect", orList([]string{dialect.OpenAI.Name(), dialect.Anthropic.Name(), dialect.Gemini.Name(), dialect.Cohere.Name(), dialect.Bedrock.Name(), dialectNone}), setDialect},
	{"on_cancel", orList([]string{string(gateway.BillingStops), string(gateway.BilledInFull), string(gateway.Unknown)}), setOnCancel},
	{"resume", orList([]string{string(gateway.ResumeMarked), string(gateway.ResumeAuto), string(gateway.ResumeOff)}), setResume},
	{"api_key_env", "the name of a variable of the environment, such as OPENAI_API_KEY", setAPIKeyEnv},
	{"aws_credentials", "true or false", setAWSCredentials},
	{"region", "an AWS region, such as us-east-1", setRegion},
	{"include_usage", "true or false", setIncludeUsage},
	{"propagate_trace", "true or false", setPropagateTrace},
}

func memberNames() []string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.name
	}
	return names
}

func setBaseURL(p *gateway.Provider, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is not a base URL", text)
	}
	u.Path = strings.TrimRight(u.Path, "/") // what is appended begins with one
	p.BaseURL = u
	return nil
}

func setDialect(p *gateway.Provider, text string) error {
	if text == dialectNone {
		p.Dialect = nil
		return nil
	}
	d, ok := dialect.Named(text)
	if !ok {
		return fmt.Errorf("%q is no dialect", text)
	}
	p.Dialect = d
	return nil
}

func setOnCancel(p *gateway.Provider, text string) error {
	switch v := gateway.OnCancel(text); v {
	case gateway.BillingStops, gateway.BilledInFull, gateway.Unknown:
		p.OnCancel = v
		return nil
	}
	return fmt.Errorf("%q is nothing that a provider does", text)
}

func setResume(p *gateway.Provider, text string) error {
	switch v := gateway.Resume(text); v {
	case gateway.ResumeMarked, gateway.ResumeAuto, gateway.ResumeOff:
		p.Resume = v
		return nil
	}
	return fmt.Errorf("%q is no way to resume", text)
}

var variableName = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// setAPIKeyEnv notes where the key is. It doesn't show what it was given: that may
// be the key.
func setAPIKeyEnv(p *gateway.Provider, text string) error {
	if !variableName.MatchString(text) {
		return errors.New("is no name of a variable, which has capitals, digits and underscores")
	}
	p.APIKeyEnv = text
	return nil
}

// readAPIKeys reads the keys of providers that the gateway is to hold.
func (l *loading) readAPIKeys() {
	for name, p := range l.settings.Gateway.Providers {
		if p.APIKeyEnv == "" {
			continue
		}
		key := strings.TrimSpace(l.getenv(p.APIKeyEnv))
		if key == "" || !printable(key) {
			l.refuse(keyProviders+"."+name+".api_key_env", fmt.Sprintf(
				"the variable %s is not set, or has no key: want the provider's key in the environment of the gateway", p.APIKeyEnv))
			continue
		}
		p.APIKey = gateway.Secret(key)
		l.settings.Gateway.Providers[name] = p
	}
}

func setIncludeUsage(p *gateway.Provider, text string) (err error) {
	if p.IncludeUsage, err = strconv.ParseBool(text); err != nil {
		return fmt.Errorf("%q is neither", text)
	}
	return nil
}

func setPropagateTrace(p *gateway.Provider, text string) (err error) {
	if p.PropagateTrace, err = strconv.ParseBool(text); err != nil {
		return fmt.Errorf("%q is neither", text)
	}
	return nil
}

// provider returns what is known of a name so far, which for a new one is
// little.
func (s *Settings) provider(name string) (gateway.Provider, error) {
	if !providerName.MatchString(name) {
		return gateway.Provider{}, fmt.Errorf("%q is no provider's name, which has lower-case letters, digits and dashes", name)
	}
	if slices.Contains(reserved, name) {
		return gateway.Provider{}, fmt.Errorf("%q can't be a provider's name: paths that begin with it mean something else", name)
	}
	if p, ok := s.Gateway.Providers[name]; ok {
		return p, nil
	}
	return newProvider(name), nil
}

// setProviders sets base URLs from name=url, or several with commas between.
func setProviders(s *Settings, text string) error {
	for one := range strings.SplitSeq(text, ",") {
		name, base, ok := strings.Cut(strings.TrimSpace(one), "=")
		if !ok {
			return fmt.Errorf("%q: want name=url, such as openai=http://127.0.0.1:9000", one)
		}
		p, err := s.provider(name)
		if err == nil {
			err = setBaseURL(&p, base)
		}
		if err != nil {
			return fmt.Errorf("%w: want name=url, such as openai=http://127.0.0.1:9000", err)
		}
		s.Gateway.Providers[name] = p
	}
	return nil
}

var errNoBaseURL = errors.New("has no base_url: want http://host or https://host")

func providersText(s *Settings) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.Gateway.Providers)) {
		p := s.Gateway.Providers[name]
		text := fmt.Sprintf("%s=%s %s %s", name, p.BaseURL, dialectOf(p), p.OnCancel)
		if p.Resume != "" {
			text += " resume " + string(p.Resume)
		}
		if p.APIKeyEnv != "" {
			text += " with the key in " + p.APIKeyEnv
		}
		if p.AWSCredentials {
			text += " with aws_credentials"
		}
		if p.Region != "" {
			text += " in " + p.Region
		}
		if !p.IncludeUsage {
			text += " without include_usage"
		}
		if p.PropagateTrace {
			text += " with propagate_trace"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func dialectOf(p gateway.Provider) string {
	if p.Dialect == nil {
		return dialectNone
	}
	return p.Dialect.Name()
}

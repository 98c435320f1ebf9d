package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/recoup-gateway/recoup/internal/gatewaykeys"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// A provider with a key of its own here is called with that. Its clients bring a
// gateway key, which no provider is ever sent.

// Secret is a text that is not printed by accident.
type Secret string

const hidden = "(hidden)"

// String hides it.
func (Secret) String() string { return hidden }

// GoString hides it from %#v.
func (Secret) GoString() string { return hidden }

// LogValue hides it from a log.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides it from JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// caller is who makes a request.
type caller struct {
	principal streamlog.Hash
	key       *gatewaykeys.Key // nil: it brought no gateway key
	secret    string           // that key itself

	signed bool // the call is signed for AWS
	local  bool // it comes from this machine
}

const callerKey = "recoup.caller"

// identify finds out who makes a request: a gateway key that it brings is who it
// is, so that the same caller is found when the provider's key is another one; else
// who the configured header says, or the credential is.
func (g *Gateway) identify(c echo.Context) (who caller, err error) {
	if who, err = g.brings(c); err != nil || who.key != nil {
		return who, err
	}
	who.principal, err = g.principal(c.Request())
	return who, err
}

// brings finds the gateway key that a request brings: the caller without a principal
// if there is none. An error is the answer to a key that is no longer valid, for
// whatever it is brought.
func (g *Gateway) brings(c echo.Context) (caller, error) {
	if who, ok := c.Get(callerKey).(caller); ok {
		return who, nil
	}
	who := caller{local: isLocal(c.Request())}
	_, who.signed = accessKey(c.Request())
	if g.keys != nil {
		for _, credential := range credentials(c.Request()) {
			k, err := g.keys.Use(credential)
			switch {
			case errors.Is(err, gatewaykeys.ErrUnknown):
				continue
			case errors.Is(err, gatewaykeys.ErrRevoked):
				return caller{}, errKeyRevoked
			case err != nil:
				return caller{}, errKeyExpired
			}
			who.principal, who.key, who.secret = g.hash.sum("gateway key", k.ID), &k, credential
			break
		}
	}
	c.Set(callerKey, who)
	return who, nil
}

func keyRefused(code, message string) *httpError {
	return &httpError{status: http.StatusUnauthorized, code: code, message: message}
}

var (
	errKeyRevoked = keyRefused("gateway_key_revoked", "This gateway key is revoked. Ask whoever runs the gateway for another.")
	errKeyExpired = keyRefused("gateway_key_expired", "This gateway key has expired. Ask whoever runs the gateway for another.")
)

// admits tells whether a caller may call a provider.
func (p Provider) admits(who caller) error {
	switch {
	case p.APIKey != "" && who.key == nil:
		return keyRefused("gateway_key_required", fmt.Sprintf(
			"The gateway holds the key of the provider %q. Send a gateway key (rk_…) where you would send the provider's.", p.Name))
	case p.APIKey == "" && p.Signer == nil && who.key != nil:
		return keyRefused("provider_key_required", fmt.Sprintf(
			"The gateway holds no key of the provider %q, and a gateway key is not sent on. Send the provider's key.", p.Name))
	}
	return p.admitsSigned(who)
}

// resumePolicy says which calls of a caller to a provider can be resumed. A gateway
// key's own policy is the narrower one, but what is off for all is off for it too.
func (c *Config) resumePolicy(p *Provider, who caller) Resume {
	of := c.resumeOf(p)
	if who.key == nil || who.key.Resume == "" || of == ResumeOff {
		return of
	}
	return Resume(who.key.Resume)
}

// mayRead refuses those whose key was made to resume nothing.
func (who caller) mayRead() error {
	if who.key != nil && who.key.Resume == gatewaykeys.ResumeOff {
		return &httpError{status: http.StatusForbidden, code: "resume_off", message: "This gateway key resumes nothing: its resume is off."}
	}
	return nil
}

// tagged are the tags of a call: those of its gateway key win over the ones it
// says itself.
func (who caller) tagged(own map[string]string) (map[string]string, error) {
	if who.key == nil || len(who.key.Tags) == 0 {
		return own, nil
	}
	all := map[string]string{}
	maps.Copy(all, own)
	maps.Copy(all, who.key.Tags)
	if len(all) > maxTags {
		return nil, fmt.Errorf("Recoup-Tags: at most %d tags with the %d of the gateway key", maxTags, len(who.key.Tags))
	}
	return all, nil
}

// credentialHeaders are those in which clients bring a credential, beside
// Authorization.
var credentialHeaders = []string{"X-Api-Key", "Api-Key", "X-Goog-Api-Key"}

// keyProtocol begins the WebSocket subprotocol in which browsers bring a key.
const keyProtocol = "openai-insecure-api-key."

// credentials are all that a request brings.
func credentials(r *http.Request) []string {
	all := []string{credential(r)}
	for _, name := range credentialHeaders {
		all = append(all, r.Header.Values(name)...)
	}
	for _, list := range r.Header.Values("Sec-Websocket-Protocol") {
		for one := range strings.SplitSeq(list, ",") {
			if key, ok := strings.CutPrefix(strings.TrimSpace(one), keyProtocol); ok {
				all = append(all, key)
			}
		}
	}
	if id, ok := accessKey(r); ok { // where AWS's SDKs have room for a gateway key
		all = append(all, id)
	}
	return append(all, r.URL.Query()["key"]...)
}

// authorize puts the provider's own key, if the gateway holds it, in the place of
// what the client brought. The request's URL is that at the provider.
func (p Provider) authorize(h http.Header, u *url.URL, who caller) {
	signs := p.signs(who)
	if p.APIKey == "" && !signs {
		return
	}
	if who.signed {
		unsign(h, u)
	}
	for _, name := range append([]string{"Authorization"}, credentialHeaders...) {
		h.Del(name)
	}
	if lines, ok := h[protocols]; ok {
		if h[protocols] = withoutKeys(lines, who.secret); len(h[protocols]) == 0 {
			delete(h, protocols)
		}
	}
	for name, values := range h { // wherever else the client has put it
		if who.secret != "" && slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, who.secret) }) {
			delete(h, name) // as it is spelt: sendOnce has names of its own
		}
	}
	u.RawQuery = withoutParameter(u.RawQuery, "key", who.secret)
	if signs {
		return // when it is sent
	}
	if name := p.keyHeader(u.Path); name != "Authorization" {
		h.Set(name, string(p.APIKey))
		return
	}
	h.Set("Authorization", "Bearer "+string(p.APIKey))
}

// keyHeader is the header in which a provider expects its key.
func (p Provider) keyHeader(path string) string {
	if p.KeyHeader != "" {
		return p.KeyHeader
	}
	name := p.Name // of a provider without a dialect, which has a name at most
	if p.Dialect != nil {
		name = p.Dialect.Name()
	}
	switch {
	case name == "anthropic":
		return "X-Api-Key"
	case name == "gemini" && !strings.Contains(path, "/openai/"): // below that it speaks another dialect
		return "X-Goog-Api-Key"
	}
	return "Authorization"
}

// protocols is the header of subprotocols, in which browsers put keys.
const protocols = "Sec-Websocket-Protocol"

// withoutKeys drops the subprotocols that are keys, or have the secret in them.
func withoutKeys(lines []string, secret string) (kept []string) {
	for _, line := range lines {
		var left []string
		for one := range strings.SplitSeq(line, ",") {
			one = strings.TrimSpace(one)
			if one != "" && !strings.HasPrefix(one, keyProtocol) && (secret == "" || !strings.Contains(one, secret)) {
				left = append(left, one)
			}
		}
		if len(left) > 0 {
			kept = append(kept, strings.Join(left, ", "))
		}
	}
	return kept
}

// withoutParameter drops from a query what is named so, or has a value with the
// secret in it. The rest stays as it is.
func withoutParameter(query, name, secret string) string {
	if query == "" {
		return ""
	}
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		plain, err := url.QueryUnescape(pair)
		if err != nil {
			plain = pair
		}
		if n, _, _ := strings.Cut(plain, "="); n != name && (secret == "" || !strings.Contains(plain, secret)) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

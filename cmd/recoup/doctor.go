package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

// diagnosis is what recoup doctor has found out.
type diagnosis struct {
	DataURL  string          `json:"data_url"`
	AdminURL string          `json:"admin_url"`
	Data     finding         `json:"data_plane"`
	Ready    finding         `json:"ready"`
	Settings []clientSetting `json:"clients"`
	Gateway  json.RawMessage `json:"gateway,omitempty"` // as /api/v1/calls answers
}

// finding is whether something is as it should be.
type finding struct {
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// clientSetting is what one kind of client has to be told.
type clientSetting struct {
	Client   string `json:"client"`
	Variable string `json:"variable,omitempty"` // that its SDK reads by itself
	Value    string `json:"base_url"`
	Key      string `json:"key"`  // which to bring
	Here     string `json:"here"` // what the variable is in this environment
}

func (p *program) doctorCommand() *cobra.Command {
	var (
		o              operator
		dataURL, forms string
	)
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Tell what clients have to set, and whether their last calls could have been resumed",
		Long: `Tell whether a gateway is there, what clients have to set to use it, what it has seen of
its last calls, and whether each would have been resumed if its client had been killed,
with the reason.

The exit code is 0 if the gateway is ready and could be asked, else 1.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkFormat(forms); err != nil {
				return err
			}
			admin, err := p.operatorRemote(o)
			if err != nil {
				return err
			}
			data, err := newRemote("url", firstText(dataURL, p.localData()))
			if err != nil {
				return err
			}
			return p.diagnose(c, admin, data, forms)
		},
	}
	o.flags(c)
	c.Flags().StringVar(&dataURL, "url", "", "`URL` of the data plane (default: of the gateway on this machine, http://127.0.0.1:8484)")
	formatFlag(c, &forms)
	return c
}

func (p *program) diagnose(c *cobra.Command, admin, data *remote, format string) error {
	d := diagnosis{DataURL: data.base.String(), AdminURL: admin.base.String(), Data: reachable(c.Context(), data)}
	ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
	defer cancel()
	answer, err := askReady(ctx, d.AdminURL)
	d.Ready = found(err, answer)
	var seen seenCalls
	if err == nil {
		d.Gateway, err = admin.ask(ctx, http.MethodGet, "/api/v1/calls", nil, &seen)
	}
	d.Settings = p.clientSettings(strings.TrimSuffix(d.DataURL, "/"), seen.Providers)
	if format == formatJSON {
		text, encodeErr := json.Marshal(d)
		if encodeErr != nil {
			return encodeErr
		}
		encodeErr = writeIndented(c.OutOrStdout(), text)
		err = firstError(err, encodeErr)
	} else {
		err = firstError(err, writeDiagnosis(c.OutOrStdout(), d, seen))
	}
	if err == nil && !d.Data.OK {
		err = errors.New(d.Data.Text)
	}
	return err
}

func found(err error, text string) finding {
	if err != nil {
		return finding{false, err.Error()}
	}
	return finding{true, text}
}

// reachable asks the data plane for what only a gateway answers to.
func reachable(ctx context.Context, data *remote) finding {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	resp, err := data.do(ctx, http.MethodGet, "/recoup/", nil)
	var says *problem
	switch {
	case err == nil:
		resp.Body.Close()
		return finding{false, "something else than a gateway answers there"}
	case errors.As(err, &says) && says.code == "not_found":
		return finding{true, "reachable"}
	}
	return finding{false, err.Error()}
}

// seenCalls is what /api/v1/calls answers.
type seenCalls struct {
	Resume    string
	Providers []struct {
		Name     string
		Dialect  string
		HoldsKey bool `json:"holds_key"`
	}
	Calls []struct {
		At          time.Time
		Provider    string
		Endpoint    string
		Agent       string `json:"user_agent"`
		Credential  string
		Idempotency bool   `json:"idempotency_key"`
		Resume      string `json:"recoup_resume"`
		Streamed    bool
		Retry       *int `json:"retry_count"`
		Resumed     string
		Refused     string
		WouldResume bool `json:"would_resume"`
		Why         string
		Answer      string
	}
}

// clientSettings are the base URLs of the SDKs: each appends its paths to
// another one.
func (p *program) clientSettings(base string, providers []struct {
	Name     string
	Dialect  string
	HoldsKey bool `json:"holds_key"`
},
) []clientSetting {
	known := map[string]clientSetting{
		"openai":    {Client: "OpenAI SDKs", Variable: "OPENAI_BASE_URL", Value: base + "/v1"},
		"anthropic": {Client: "Anthropic SDKs, Claude Code", Variable: "ANTHROPIC_BASE_URL", Value: base},
		"gemini":    {Client: "Google Gen AI SDKs", Variable: "GOOGLE_GEMINI_BASE_URL", Value: base},
		"bedrock":   {Client: "AWS SDKs, for Amazon Bedrock", Variable: "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", Value: base},
	}
	settings := []clientSetting{}
	for _, provider := range providers {
		s, ok := known[provider.Name]
		if !ok {
			s = clientSetting{Client: provider.Name + " (" + provider.Dialect + ")", Value: base + "/" + provider.Name + " and the path of its API"}
		}
		s.Key = "the provider's own"
		if provider.HoldsKey {
			s.Key = "a gateway key, rk_…"
		}
		if s.Variable != "" {
			s.Here = setHere(p.getenv(s.Variable), s.Value)
		}
		settings = append(settings, s)
	}
	return settings
}

// setHere compares a variable with what it should be. It doesn't show another
// value: a URL may have a password in it.
func setHere(have, want string) string {
	switch strings.TrimSuffix(have, "/") {
	case "":
		return "not set"
	case strings.TrimSuffix(want, "/"):
		return "as it should be"
	}
	if u, err := url.Parse(have); err == nil && u.Host != "" {
		return "something else, at " + printable(u.Host, 60)
	}
	return "something else"
}

func writeDiagnosis(w io.Writer, d diagnosis, seen seenCalls) error {
	var b strings.Builder
	t := newTable("plane", "URL", "")
	t.AppendRow(table.Row{"data", d.DataURL, mark(d.Data)})
	t.AppendRow(table.Row{"admin", d.AdminURL, mark(d.Ready)})
	fmt.Fprintf(&b, "%s\n", t.Render())
	if len(d.Settings) > 0 {
		t = newTable("client", "variable", "base URL", "key to bring", "in this environment")
		for _, s := range d.Settings {
			t.AppendRow(table.Row{s.Client, s.Variable, s.Value, s.Key, s.Here})
		}
		fmt.Fprintf(&b, "\nWhat clients have to set\n%s\n", t.Render())
	}
	if d.Gateway != nil {
		writeCalls(&b, seen)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func mark(f finding) string {
	if f.OK {
		return f.Text
	}
	return "FAILS: " + printable(f.Text, 120)
}

func writeCalls(b *strings.Builder, seen seenCalls) {
	if len(seen.Calls) == 0 {
		b.WriteString("\nNo calls since the gateway was started. resume: " + seen.Resume + "\n")
		return
	}
	t := newTable("ago", "provider", "endpoint", "client", "credential", "marks", "resumed if killed", "why", "the answer")
	t.SetColumnConfigs([]table.ColumnConfig{{Name: "why", WidthMax: 40}, {Name: "the answer", WidthMax: 30}})
	for _, s := range seen.Calls {
		var marks []string
		for _, m := range []struct {
			is   bool
			name string
		}{
			{s.Streamed, "streamed"}, {s.Idempotency, "Idempotency-Key"}, {s.Resume != "", "Recoup-Resume: " + s.Resume},
			{s.Retry != nil && *s.Retry > 0, "the SDK's retry"}, {s.Resumed != "", "resumed by " + s.Resumed},
		} {
			if m.is {
				marks = append(marks, m.name)
			}
		}
		t.AppendRow(table.Row{age(s.At), printable(s.Provider, 20), s.Endpoint, s.Agent, s.Credential, strings.Join(marks, ", "),
			map[bool]string{true: "yes", false: "no"}[s.WouldResume], s.Why, s.Answer})
	}
	fmt.Fprintf(b, "\nThe last calls, the newest first. resume: %s\n%s\n", seen.Resume, t.Render())
}

package providers

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	hosts := map[string]string{}
	for _, p := range All() {
		if got, ok := Named(p.Name); !ok || got.Title != p.Title {
			t.Errorf("%s is there twice, or not", p.Name)
		}
		for _, h := range p.Hosts {
			if hosts[h] != "" {
				t.Errorf("%s is %s and %s", h, hosts[h], p.Name)
			}
			hosts[h] = p.Name
		}
		if (p.BaseURL == "") == (p.Example == "") {
			t.Errorf("%s: base URL %q, example %q: want one of them", p.Name, p.BaseURL, p.Example)
		}
		if u, err := url.Parse(p.BaseURL); p.BaseURL != "" && (err != nil || u.Scheme != "https") {
			t.Errorf("%s: base URL %q: %v", p.Name, p.BaseURL, err)
		} else if got, _ := At(u.Host); p.BaseURL != "" && got.Name != p.Name {
			t.Errorf("%s: its own host is %q's", p.Name, got.Name)
		}
		if !slices.Contains([]string{billingStops, billedInFull, unknown}, p.OnCancel) || !slices.Contains([]string{openai, anthropic, gemini, cohere, bedrock}, p.Dialect) {
			t.Errorf("%s: on_cancel %q, dialect %q", p.Name, p.OnCancel, p.Dialect)
		}
		e := p.Evidence
		if e.Grade == "" || e.Read == "" || (len(e.Links) == 0) != (e.Grade == Nothing) || e.Grade == Nothing && p.OnCancel != unknown {
			t.Errorf("%s: %s rests on %+v", p.Name, p.OnCancel, e)
		}
		for _, l := range slices.Concat(e.Links, p.Links) {
			if u, err := url.Parse(l.URL); err != nil || u.Scheme != "https" || u.Host == "" || l.Text == "" {
				t.Errorf("%s: link %+v", p.Name, l)
			}
		}
		for what, text := range map[string]string{"credentials": p.Credentials, "usage": p.Usage} {
			if text == "" {
				t.Errorf("%s: nothing said of %s", p.Name, what)
			}
		}
		if text := p.Credentials + p.Usage + p.Failures + p.Open; strings.ContainsAny(text, "|\n") {
			t.Errorf("%s: its words would break a table", p.Name)
		}
	}
}

func TestAt(t *testing.T) {
	for host, want := range map[string]string{
		"api.groq.com":                            "groq",
		"API.Groq.com:443":                        "groq",
		"api.groq.com.":                           "groq",
		"acme.openai.azure.com":                   "azure",
		"openai.azure.com":                        "",
		"acme.openai.azure.com.evil.test":         "",
		"eu.api.openai.com":                       "openai",
		"notapi.openai.com":                       "",
		"europe-west4-aiplatform.googleapis.com":  "vertex",
		"aiplatform.googleapis.com":               "vertex",
		"europe-west4-xaiplatform.googleapis.com": "",
		"bedrock-runtime.eu-west-1.amazonaws.com": "bedrock",
		"bedrock-runtime.evil.test":               "",
		"127.0.0.1:9000":                          "",
		"":                                        "",
	} {
		if p, ok := At(host); p.Name != want || ok != (want != "") {
			t.Errorf("%q is %q", host, p.Name)
		}
	}
}

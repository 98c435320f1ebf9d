package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/providers"
)

// What is known of a provider is its default, by name and by host, and what is said
// of it holds.
func TestKnownProviders(t *testing.T) {
	for given, want := range map[string]string{
		"groq: {base_url: 'https://api.groq.com/openai'}":                                "https://api.groq.com/openai openai billed_in_full false groq",
		"fast: {base_url: 'https://api.groq.com/openai'}":                                "https://api.groq.com/openai openai billed_in_full false groq",
		"fast: {base_url: 'https://api.groq.com', on_cancel: unknown}":                   "https://api.groq.com openai unknown false groq",
		"fast: {base_url: 'https://api.groq.com', include_usage: true}":                  "https://api.groq.com openai billed_in_full true groq",
		"groq: {base_url: 'http://127.0.0.1:9000'}":                                      "http://127.0.0.1:9000 openai billed_in_full false groq",
		"openai: {base_url: 'https://acme.openai.azure.com'}":                            "https://acme.openai.azure.com openai billing_stops true azure.ai.openai deployments Api-Key filter",
		"azure: {base_url: 'http://10.0.0.1'}":                                           "http://10.0.0.1 openai billing_stops true azure.ai.openai deployments Api-Key filter",
		"mistral: {}":                                                                    "https://api.mistral.ai openai billed_in_full false mistral_ai",
		"cohere: {resume: auto}":                                                         "https://api.cohere.com cohere unknown true cohere",
		"mine: {base_url: 'https://europe-west4-aiplatform.googleapis.com'}":             "https://europe-west4-aiplatform.googleapis.com gemini billed_in_full true gcp.vertex_ai",
		"mine: {base_url: 'https://generativelanguage.googleapis.com', dialect: openai}": "https://generativelanguage.googleapis.com openai billed_in_full true gcp.gemini",
		"anthropic: {base_url: 'https://api.deepseek.com/anthropic'}":                    "https://api.deepseek.com/anthropic anthropic billing_stops false deepseek",
		"mine: {base_url: 'https://llm.acme.test'}":                                      "https://llm.acme.test openai unknown true ",
	} {
		s := mustLoad(t, sources{file: "providers:\n  " + given + "\n"})
		name, _, _ := strings.Cut(given, ":")
		p := s.Gateway.Providers[name]
		got := fmt.Sprintf("%s %s %s %v %s", p.BaseURL, dialectOf(p), p.OnCancel, p.IncludeUsage, p.GenAI)
		if p.Deployments {
			got += " deployments"
		}
		if p.KeyHeader != "" {
			got += " " + p.KeyHeader
		}
		if p.BillsFilter {
			got += " filter"
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", given, got, want)
		}
	}
	if _, err := load(t, sources{file: "providers:\n  azure: {on_cancel: unknown}\n"}); err == nil {
		t.Error("Azure without a base URL is taken")
	}
}

// The table speaks the gateway's language.
func TestTableOfProviders(t *testing.T) {
	for _, p := range providers.All() {
		if _, ok := dialect.Named(p.Dialect); !ok && p.Dialect != dialectNone {
			t.Errorf("%s: dialect %q", p.Name, p.Dialect)
		}
		switch gateway.OnCancel(p.OnCancel) {
		case gateway.BillingStops, gateway.BilledInFull, gateway.Unknown:
		default:
			t.Errorf("%s: on_cancel %q", p.Name, p.OnCancel)
		}
		if !providerName.MatchString(p.Name) {
			t.Errorf("%q is no provider's name", p.Name)
		}
		if p.BaseURL != "" && newProvider(p.Name).BaseURL == nil {
			t.Errorf("%s: base URL %q", p.Name, p.BaseURL)
		}
	}
}

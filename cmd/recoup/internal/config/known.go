package config

import (
	"net/url"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/providers"
)

// What is known of providers makes their defaults: by the name that they are given
// here, and, where their base URL is that of a known one, by that.

// defaultNames are the providers that need no configuration.
var defaultNames = []string{"openai", "anthropic", "gemini", "groq"}

func defaultProviders() map[string]gateway.Provider {
	all := map[string]gateway.Provider{}
	for _, name := range defaultNames {
		all[name] = newProvider(name)
	}
	return all
}

// newProvider is a provider of that name before anything is said of it.
func newProvider(name string) gateway.Provider {
	p := gateway.Provider{Name: name, Dialect: dialect.OpenAI, OnCancel: gateway.Unknown, IncludeUsage: true}
	known, ok := providers.Named(name)
	if !ok {
		return p
	}
	p.Dialect, _ = dialect.Named(known.Dialect) // nil for none
	p.OnCancel, p.IncludeUsage = gateway.OnCancel(known.OnCancel), !known.Unasked
	if known.BaseURL != "" {
		p.BaseURL, _ = url.Parse(known.BaseURL) // a test holds that it is one
	}
	return p
}

// recognise gives providers what is known of them and nobody has said otherwise. The
// base URL says better than a name who it is; but not what dialect a
// known name was chosen for, since some speak several.
func (l *loading) recognise() {
	for name, p := range l.settings.Gateway.Providers {
		if p.BaseURL == nil {
			continue // which is refused
		}
		said := func(member string) bool { return l.known(keyProviders + "." + name + "." + member) }
		byName, named := providers.Named(name)
		known, ok := providers.At(p.BaseURL.Host)
		switch {
		case !ok && !named:
			continue
		case !ok:
			known = byName
		}
		if !said("on_cancel") {
			p.OnCancel = gateway.OnCancel(known.OnCancel)
		}
		if !said("include_usage") {
			p.IncludeUsage = !known.Unasked
		}
		if !said("dialect") && !named {
			p.Dialect, _ = dialect.Named(known.Dialect)
		}
		p.GenAI, p.KeyHeader, p.Deployments, p.BillsFilter = known.GenAI, known.KeyHeader, known.Deployments, known.BillsFilter
		l.settings.Gateway.Providers[name] = p
	}
}

package providers

import (
	"net"
	"path"
	"strings"
)

// A Provider is what is known of one.
type Provider struct {
	Name    string   // in configuration
	Title   string   // as it calls itself
	BaseURL string   // where its API is; empty where each customer has its own
	Example string   // such a base URL, in place of BaseURL
	Hosts   []string // by which it is recognised under another name; with a dot or a dash in front, all that end so; a * stands for anything

	Dialect string
	GenAI   string // what OpenTelemetry's conventions call it; empty: they have no name for it

	OnCancel string   // billing_stops, billed_in_full or unknown
	Evidence Evidence // for that

	Unasked     bool   // it reports usage by itself: it need not be asked, and some refuse to be
	Deployments bool   // what calls name as the model is a name of the customer's own
	KeyHeader   string // in which it wants a key that the gateway holds; empty: that of its dialect
	BillsFilter bool   // a prompt that its filter refuses, with the status 400, is billed

	Credentials string // in words: what a client sends
	Usage       string // where the report is, and what is odd about it
	Failures    string // what a refusal, a filter or an error in mid-stream comes to
	Open        string // what is not known
	Links       []Link // the sources of the words
}

// A Grade says how good the evidence is.
type Grade string

// The grades, the best first.
const (
	Official   Grade = "its own documentation"
	Bill       Grade = "compared with a real bill"
	Reseller   Grade = "a reseller's documentation"
	SecondHand Grade = "reports of others"
	Nothing    Grade = "nothing found"
)

// Evidence is why something is believed, and when that was read.
type Evidence struct {
	Grade Grade
	Read  string // month
	Links []Link
}

// A Link is a public page.
type Link struct{ Text, URL string }

// All returns the table. It is the caller's to keep.
func All() []Provider { return append([]Provider(nil), table...) }

// Named returns the provider of that name.
func Named(name string) (Provider, bool) {
	for _, p := range table {
		if p.Name == name {
			return p, true
		}
	}
	return Provider{}, false
}

// At returns the provider whose API is at a host, which may have a port.
func At(host string) (Provider, bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, p := range table {
		for _, known := range p.Hosts {
			if ok, _ := path.Match(known, host); ok || (known[0] == '.' || known[0] == '-') && strings.HasSuffix(host, known) {
				return p, true
			}
		}
	}
	return Provider{}, false
}

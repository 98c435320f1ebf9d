package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/pricing"
)

// OnCancel says what a provider does about the bill when its connection is
// closed in mid-answer.
type OnCancel string

// What providers are known to do.
const (
	BillingStops OnCancel = "billing_stops"
	BilledInFull OnCancel = "billed_in_full"
	Unknown      OnCancel = "unknown"
)

// Resume says which calls can be resumed.
type Resume string

// The settings of resume.
const (
	ResumeMarked Resume = "marked" // by id, by the key that the call brought, or because the call is marked as one that may
	ResumeAuto   Resume = "auto"   // also by its content alone
	ResumeOff    Resume = "off"    // none: keys and marks are ignored, and a client that leaves is gone
)

func (r Resume) valid() bool { return r == ResumeMarked || r == ResumeAuto || r == ResumeOff }

// Provider is somebody who answers calls.
type Provider struct {
	Name     string
	BaseURL  *url.URL        // the request's path is appended
	Dialect  dialect.Dialect // nil: its calls are passed through, none is drained
	OnCancel OnCancel
	Resume   Resume // empty: as Config says

	APIKeyEnv string // the variable of the environment that APIKey is from; empty: none is held
	APIKey    Secret // with which the provider is called, instead of what the client brings

	AWSCredentials bool   // calls of Bedrock that are signed for the gateway, or bring a gateway key, are signed here
	Region         string // for that; empty: as Signer was made
	Signer         Signer // does it

	IncludeUsage   bool // ask for the usage of streams of chat and completions, where the client doesn't
	PropagateTrace bool // send the trace context on; else neither ours nor the client's

	GenAI       string // what OpenTelemetry's conventions call it; empty: what is known by Name, else that
	KeyHeader   string // in which it wants APIKey; empty: that of its dialect
	Deployments bool   // what calls name as the model is a name of the customer's own
	BillsFilter bool   // a prompt that its filter refuses is billed
}

// Config is what the gateway does, as far as it can be changed while running.
type Config struct {
	Providers map[string]Provider // by name

	Resume          Resume
	PrincipalHeader string              // the request header that says who is calling; empty: the credential does
	OrphanGrace     time.Duration       // how long a reclaimable stream is drained without an owner
	FirstEventGrace time.Duration       // how long a call that is not reclaimable is kept up when its client leaves before the first event
	MaxOrphans      int                 // streams drained without an owner at one time; past it the oldest is cancelled
	MaxOrphanBytes  int64               // bytes that they have received together, likewise
	MaxOrphanCost   pricing.Picodollars // what those bytes have cost, likewise

	Keepalive           time.Duration // silence after which a waiting reader of an event stream gets a sign of life; 0: never
	WriteTimeout        time.Duration // how long one write to a client may take before it counts as a slow reader
	UpstreamIdleTimeout time.Duration // how long a provider may be silent
	MaxBodyBytes        int64         // of a request that is drained

	SpanTags []string // tags of calls that are put on their spans
}

// Defaults are the settings that need no file: all but the providers.
func Defaults() Config {
	return Config{
		Resume:              ResumeMarked,
		OrphanGrace:         60 * time.Second,
		FirstEventGrace:     5 * time.Second,
		MaxOrphans:          1000,
		MaxOrphanBytes:      1 << 30,
		MaxOrphanCost:       100_000_000_000_000, // $100
		Keepalive:           15 * time.Second,
		WriteTimeout:        60 * time.Second,
		UpstreamIdleTimeout: 65 * time.Minute,
		MaxBodyBytes:        64 << 20,
	}
}

// resumeOf is which calls of a provider can be resumed.
func (c *Config) resumeOf(p *Provider) Resume {
	if p.Resume != "" {
		return p.Resume
	}
	return c.Resume
}

// Validate reports the first setting that makes no sense, by its key in the
// configuration.
func (c Config) Validate() error {
	if len(c.Providers) == 0 {
		return fmt.Errorf("providers: at least one is needed")
	}
	for name, p := range c.Providers {
		if slices.Contains(bare, name) || slices.Contains(bareBedrock, name) {
			return fmt.Errorf("providers.%s: /%s/ is where clients without /v1 in their base URL call; use another name", name, name)
		}
		if err := p.validate(); err != nil {
			return fmt.Errorf("providers.%s: %w", name, err)
		}
	}
	if !c.Resume.valid() {
		return fmt.Errorf("resume: %q is none of marked, auto, off", c.Resume)
	}
	for key, d := range map[string]time.Duration{"orphan_grace": c.OrphanGrace, "first_event_grace": c.FirstEventGrace, "keepalive": c.Keepalive} {
		if d < 0 {
			return fmt.Errorf("%s: %v is negative", key, d)
		}
	}
	for key, d := range map[string]time.Duration{"write_timeout": c.WriteTimeout, "upstream_idle_timeout": c.UpstreamIdleTimeout} {
		if d <= 0 {
			return fmt.Errorf("%s: %v is not a positive duration", key, d)
		}
	}
	for key, n := range map[string]int64{"max_orphans": int64(c.MaxOrphans), "max_orphan_bytes": c.MaxOrphanBytes, "max_orphan_usd": int64(c.MaxOrphanCost), "max_body_bytes": c.MaxBodyBytes} {
		if n <= 0 {
			return fmt.Errorf("%s: %d is not positive", key, n)
		}
	}
	return nil
}

func (p Provider) validate() error {
	if p.BaseURL == nil || p.BaseURL.Host == "" || p.BaseURL.Scheme != "http" && p.BaseURL.Scheme != "https" {
		return fmt.Errorf("base_url: want http://host or https://host")
	}
	if p.BaseURL.RawQuery != "" || p.BaseURL.Fragment != "" || p.BaseURL.User != nil {
		return fmt.Errorf("base_url: no query, fragment or user may be in it")
	}
	if p.Resume != "" && !p.Resume.valid() {
		return fmt.Errorf("resume: %q is none of marked, auto, off", p.Resume)
	}
	if p.APIKeyEnv != "" && p.APIKey == "" {
		return fmt.Errorf("api_key_env: the variable %s has no key", p.APIKeyEnv)
	}
	if p.AWSCredentials && (p.Dialect != dialect.Bedrock || p.APIKeyEnv != "") {
		return fmt.Errorf("aws_credentials: only for a provider of the dialect bedrock without api_key_env")
	}
	if p.AWSCredentials != (p.Signer != nil) {
		return fmt.Errorf("aws_credentials: there is nothing to sign with")
	}
	switch p.OnCancel {
	case BillingStops, BilledInFull, Unknown:
		return nil
	}
	return fmt.Errorf("on_cancel: %q is none of billing_stops, billed_in_full, unknown", p.OnCancel)
}

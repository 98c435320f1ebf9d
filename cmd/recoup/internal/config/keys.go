package config

import (
	"bytes"
	"log/slog"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/pricing"
)

const (
	envPrefix    = "RECOUP_"
	keyProviders = "providers"
	keyPrices    = "prices"
)

// key is one setting.
type key struct {
	name    string // in the file
	kind    kind
	reloads bool   // SIGHUP changes it; else it needs a restart
	help    string // what it does, in one sentence without its last dot
}

// flag is the key's name on the command line, without the dashes. It is the
// name in the file, but that one provider is given at a time.
func (k key) flag() string {
	if k.name == keyProviders {
		return "provider"
	}
	return strings.ReplaceAll(k.name, "_", "-")
}

// env is the key's name in the environment.
func (k key) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.flag(), "-", "_"))
}

// keys are all settings that there are, in the order of the documentation.
var keys = []key{
	{"listen", address(func(s *Settings) *string { return &s.Listen }), false,
		"Address of the data plane, where clients call"},
	{"admin_listen", address(func(s *Settings) *string { return &s.AdminListen }), false,
		"Address of the admin plane: metrics, health, readiness. If it is not a loopback address, the plane has a token: that of admin_token_file, or one of its own"},
	{"data_dir", path(func(s *Settings) *string { return &s.DataDir }), false,
		"Directory of the stream log and of the secret that keys its hashes; made if it isn't there"},
	{"sync_writes", boolean(func(s *Settings) *bool { return &s.SyncWrites }), false,
		"Sync each group of events to disk before anyone reads it, so that a power loss takes nothing that was sent"},
	{"min_free", size(0, func(s *Settings) *int64 { return &s.MinFree }), false,
		"Free space in data_dir below which new streams are refused; below half of it running ones are stopped"},
	{"retention", duration(time.Second, func(s *Settings) *time.Duration { return &s.Retention }), true,
		"How long a stream can be resumed after its end"},
	{"ledger_retention", duration(31*24*time.Hour, func(s *Settings) *time.Duration { return &s.LedgerRetention }), true,
		"How long the books keep each attempt. Months that ended longer ago are summarised, by provider, model and tags; totals and metrics stay as they were"},
	{"resume", choice(func(s *Settings) *gateway.Resume { return &s.Gateway.Resume }, gateway.ResumeMarked, gateway.ResumeAuto, gateway.ResumeOff), true,
		"Which calls can be resumed: marked, by stream id or Idempotency-Key, and equal calls that an SDK marks as its retry or that say Recoup-Resume: auto; " +
			"auto, also any equal call; off, none"},
	{"principal", principal(func(s *Settings) *string { return &s.Gateway.PrincipalHeader }), true,
		"What tells callers apart: credential, or header:Name, where credentials rotate and whoever reaches the gateway is trusted to say who it is"},
	{"orphan_grace", duration(0, func(s *Settings) *time.Duration { return &s.Gateway.OrphanGrace }), true,
		"How long a stream that somebody could come back for is drained without a client"},
	{"first_event_grace", duration(0, func(s *Settings) *time.Duration { return &s.Gateway.FirstEventGrace }), true,
		"How long any other call is kept up when its client leaves before the first event"},
	{"max_orphans", count(func(s *Settings) *int { return &s.Gateway.MaxOrphans }), true,
		"Streams drained without a client at one time; past it the oldest is cancelled"},
	{"max_orphan_bytes", size(1, func(s *Settings) *int64 { return &s.Gateway.MaxOrphanBytes }), true,
		"Bytes that these streams have received together, likewise"},
	{"max_orphan_usd", dollars(func(s *Settings) *pricing.Picodollars { return &s.Gateway.MaxOrphanCost }), true,
		"What the output of these streams has cost together, as far as their bytes tell, likewise"},
	{keyProviders, kind{name: "name=url", set: setProviders, text: providersText}, true,
		"Providers by name. In the file a mapping, laid over the default ones; as a flag (repeatable) and in the environment " +
			"(comma-separated) name=url sets one base URL, and an unknown name makes a new provider of the dialect openai"},
	{"keepalive", duration(0, func(s *Settings) *time.Duration { return &s.Gateway.Keepalive }), true,
		"Silence after which a client waiting for events gets a sign of life; 0 is never"},
	{"write_timeout", duration(time.Millisecond, func(s *Settings) *time.Duration { return &s.Gateway.WriteTimeout }), true,
		"How long one write to a client may take; one that takes longer is a slow reader and is disconnected"},
	{"upstream_idle_timeout", duration(time.Millisecond, func(s *Settings) *time.Duration { return &s.Gateway.UpstreamIdleTimeout }), true,
		"How long a provider may be silent"},
	{"max_body_bytes", size(1, func(s *Settings) *int64 { return &s.Gateway.MaxBodyBytes }), true,
		"Largest body of a call that is drained"},
	{"drain_timeout", duration(0, func(s *Settings) *time.Duration { return &s.DrainTimeout }), true,
		"How long SIGTERM waits for streams to end before it interrupts them"},
	{"encryption_key_file", secretFile(func(s *Settings) *string { return &s.EncryptionKeyFile },
		func(a, b *Settings) bool { return bytes.Equal(a.EncryptionKey, b.EncryptionKey) }), false,
		"File with the key that encrypts the stream log: 32 bytes, raw or as hex or base64; without it nothing is encrypted"},
	{"admin_token_file", secretFile(func(s *Settings) *string { return &s.AdminTokenFile },
		func(a, b *Settings) bool { return a.AdminToken == b.AdminToken }), false,
		"File with the bearer token that guards the admin plane, all but health and metrics. Without it the gateway makes one, admin-token in data_dir, if the plane is not on a loopback address"},
	{keyPrices, paths(func(s *Settings) *[]string { return &s.PriceFiles },
		func(a, b *Settings) bool { return a.Prices.Version() == b.Prices.Version() }), true,
		"Files with prices of your own in YAML, laid over those that come with the program, each over those before it: see prices.md. In the environment and as a flag with commas between"},
	{"label_tags", names(5, func(s *Settings) *[]string { return &s.LabelTags }), false,
		"Tags of calls (Recoup-Tags) by which tokens and money are counted too, as the labels tag_… of metrics; the first 50 values of each, then other"},
	{"span_tags", names(20, func(s *Settings) *[]string { return &s.Gateway.SpanTags }), true,
		"Tags of calls that are put on their spans, as recoup.tag.…"},
	{"incident_window", duration(100*time.Millisecond, func(s *Settings) *time.Duration { return &s.Incidents.Window }), true,
		"Breaks that follow each other within this time belong together: they may be an incident that is found by itself (docs/audits.md)"},
	{"incident_streams", count(func(s *Settings) *int { return &s.Incidents.Streams }), true,
		"Streams that have to break together for an incident"},
	{"incident_share", count(func(s *Settings) *int { return &s.Incidents.Share }), true,
		"Per cent of the streams that one caller, or all, had open that have to break: a deploy ends them all, closed tabs are a few of many"},
	{"incident_rate", count(func(s *Settings) *int { return &s.Incidents.Times }), true,
		"How many times as many breaks as in the hour before that has to be"},
	{"pprof", boolean(func(s *Settings) *bool { return &s.Pprof }), false,
		"Serve /debug/pprof/ on the admin plane"},
	{"log_level", logLevel(func(s *Settings) *slog.Level { return &s.LogLevel }), true,
		"Least level that is logged"},
	{"log_format", choice(func(s *Settings) *string { return &s.LogFormat }, "text", "json"), false,
		"Form of the log"},
}

func keyNames() []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return names
}

func keyNamed(name string) (key, bool) {
	for _, k := range keys {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

// Flag returns a key's spelling on the command line: "--data-dir".
func Flag(name string) string {
	k, _ := keyNamed(name)
	return "--" + k.flag()
}

// Env returns a key's spelling in the environment: "RECOUP_DATA_DIR".
func Env(name string) string {
	k, _ := keyNamed(name)
	return k.env()
}

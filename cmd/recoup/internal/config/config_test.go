package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/recoup-gateway/recoup/gateway"
)

// sources are what one process is configured with.
type sources struct {
	file string // content of recoup.yaml; empty: there is none
	env  []string
	args []string
}

// load reads sources. The file is named recoup.yaml in problems, and {dir} in
// any text is the directory that it lies in.
func load(t testing.TB, src sources) (*Settings, error) {
	t.Helper()
	dir := t.TempDir()
	args := []string{}
	if src.file != "" {
		write(t, dir, "recoup.yaml", strings.ReplaceAll(src.file, "{dir}", dir))
		args = append(args, "--config", filepath.Join(dir, "recoup.yaml"))
	}
	for _, a := range src.args {
		args = append(args, strings.ReplaceAll(a, "{dir}", dir))
	}
	write(t, dir, "token", "0123456789abcdef\n")
	write(t, dir, "short", "secret")
	write(t, dir, "key", strings.Repeat("k", 32))
	write(t, dir, "hex", strings.Repeat("6b", 32)+"\n")
	flags := pflag.NewFlagSet("recoup", pflag.ContinueOnError)
	loader := NewLoader(flags, src.env)
	if err := flags.Parse(args); err != nil {
		return nil, FlagError(flags, err)
	}
	s, err := loader.Load()
	if refused := (*Error)(nil); errors.As(err, &refused) {
		for i := range refused.Problems {
			p := &refused.Problems[i]
			p.Where = strings.ReplaceAll(p.Where, dir+"/", "")
			p.Text = strings.NewReplacer(dir+"/recoup.yaml", "recoup.yaml", dir, "{dir}").Replace(p.Text)
		}
	}
	return s, err
}

func write(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustLoad(t *testing.T, src sources) *Settings {
	t.Helper()
	s, err := load(t, src)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return s
}

// samples are three values for each key, none of them the default, in the form
// in which the settings are shown again.
var samples = map[string][3]string{
	"listen":                {"127.0.0.1:1001", "127.0.0.1:1002", "127.0.0.1:1003"},
	"admin_listen":          {"127.0.0.1:2001", "[::1]:2002", "localhost:2003"},
	"data_dir":              {"/a", "/b", "c d"},
	"min_free":              {"1KiB", "2MiB", "3"},
	"retention":             {"16m", "17m30s", "18h"},
	"ledger_retention":      {"744h", "800h", "9000h"},
	"orphan_grace":          {"1s", "2s", "3s"},
	"first_event_grace":     {"1ms", "2s", "0s"},
	"max_orphans":           {"1", "2", "3"},
	"max_orphan_bytes":      {"1GiB", "512MiB", "1000"},
	"max_orphan_usd":        {"1", "2.5", "0.01"},
	"keepalive":             {"1s", "2s", "0s"},
	"write_timeout":         {"1s", "2s", "3s"},
	"upstream_idle_timeout": {"1h", "2h", "3h30m"},
	"max_body_bytes":        {"1MiB", "2MiB", "3KiB"},
	"drain_timeout":         {"1s", "2m", "0s"},
	"sync_writes":           {"true", "false", "true"},
	"label_tags":            {"team", "team,feature", "a.b"},
	"span_tags":             {"team", "run", "a,b,c"},
	"pprof":                 {"true", "false", "true"},
	"incident_window":       {"1s", "2m", "3h"},
	"incident_streams":      {"1", "2", "3"},
	"incident_share":        {"1", "100", "33"},
	"incident_rate":         {"1", "2", "3"},
	"resume":                {"off", "auto", "marked"},
	"principal":             {"header:X-Agent-Id", "credential", "header:a"},
	"log_level":             {"debug", "warn", "error"},
	"log_format":            {"json", "text", "json"},
}

// Every key can be set in the file, the environment and by a flag, and the
// latter beat the former.
func TestPrecedence(t *testing.T) {
	for _, k := range keys {
		v, ok := samples[k.name]
		switch k.name {
		case keyProviders, keyPrices, "encryption_key_file", "admin_token_file":
			continue // in tests of their own
		}
		if !ok {
			t.Errorf("%s has no samples", k.name)
			continue
		}
		file := k.name + ": " + v[0] + "\n"
		if strings.HasPrefix(v[0], "[") {
			file = k.name + ": '" + v[0] + "'\n"
		}
		env := []string{"PATH=/bin", k.env() + "=" + v[1]}
		args := []string{"--" + k.flag() + "=" + v[2]}
		for _, tt := range []struct {
			name string
			src  sources
			want string
		}{
			{"default", sources{}, k.kind.text(defaults())},
			{"file", sources{file: file}, v[0]},
			{"env", sources{env: env}, v[1]},
			{"flag", sources{args: args}, v[2]},
			{"env over file", sources{file: file, env: env}, v[1]},
			{"flag over env", sources{env: env, args: args}, v[2]},
			{"flag over all", sources{file: file, env: env, args: args}, v[2]},
			{"empty env", sources{file: file, env: []string{k.env() + "="}}, v[0]},
			{"last flag", sources{args: []string{"--" + k.flag() + "=" + v[0], args[0]}}, v[2]},
		} {
			t.Run(k.name+"/"+tt.name, func(t *testing.T) {
				if got := k.kind.text(mustLoad(t, tt.src)); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		}
	}
}

func TestConfigFileFromEnvironment(t *testing.T) {
	path := write(t, t.TempDir(), "other.yaml", "retention: 20m\n")
	if got := mustLoad(t, sources{env: []string{"RECOUP_CONFIG=" + path}}).Retention.String(); got != "20m0s" {
		t.Errorf("retention is %s", got)
	}
	// The flag names another one, which then is the only one.
	if got := mustLoad(t, sources{file: "drain_timeout: 1s\n", env: []string{"RECOUP_CONFIG=" + path}}).Retention.String(); got != "15m0s" {
		t.Errorf("retention is %s", got)
	}
}

func TestFormsOfValues(t *testing.T) {
	s := mustLoad(t, sources{file: "# nothing but\n---\nmax_orphan_bytes: 512MB\nmin_free: 0\nsync_writes: true # a comment\ndata_dir: \"a b\"\n", args: []string{"--pprof"}})
	if s.Gateway.MaxOrphanBytes != 512_000_000 || s.MinFree != 0 || !s.SyncWrites || s.DataDir != "a b" || !s.Pprof {
		t.Errorf("got %+v", s)
	}
}

func TestProviders(t *testing.T) {
	s := mustLoad(t, sources{
		file: "providers:\n  openai: {base_url: 'http://127.0.0.1:1/base/'}\n  anthropic:\n    on_cancel: unknown\n  gemini: {dialect: openai}\n" +
			"  mine: {base_url: http://127.0.0.1:2, dialect: none, on_cancel: billed_in_full}\n  vertex: {base_url: http://127.0.0.1:8, dialect: gemini}\n  new: {base_url: http://127.0.0.1:3}\n",
		env:  []string{"RECOUP_PROVIDER=openai=http://127.0.0.1:4, vllm=http://127.0.0.1:5/v1"},
		args: []string{"--provider", "openai=http://127.0.0.1:6", "--provider=mine=http://127.0.0.1:7"},
	})
	got := strings.ReplaceAll(providersText(s), ", ", "\n")
	want := `anthropic=https://api.anthropic.com anthropic unknown
gemini=https://generativelanguage.googleapis.com openai billed_in_full
groq=https://api.groq.com openai billed_in_full without include_usage
mine=http://127.0.0.1:7 none billed_in_full
new=http://127.0.0.1:3 openai unknown
openai=http://127.0.0.1:6 openai billing_stops
vertex=http://127.0.0.1:8 gemini billed_in_full
vllm=http://127.0.0.1:5/v1 openai billing_stops`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if u := mustLoad(t, sources{args: []string{"--provider=a=http://h/base/"}}).Gateway.Providers["a"].BaseURL.String(); u != "http://h/base" {
		t.Errorf("the slash at the end stays: %s", u)
	}
}

func TestSecretFiles(t *testing.T) {
	for _, name := range []string{"key", "hex"} {
		s := mustLoad(t, sources{args: []string{"--encryption-key-file={dir}/" + name, "--admin-token-file={dir}/token"}})
		if string(s.EncryptionKey) != strings.Repeat("k", 32) || s.AdminToken != "0123456789abcdef" {
			t.Errorf("%s: key %q, token %q", name, s.EncryptionKey, s.AdminToken)
		}
	}
	s := mustLoad(t, sources{args: []string{"--admin-listen=0.0.0.0:9", "--admin-token-file={dir}/token"}})
	if s.AdminListen != "0.0.0.0:9" {
		t.Errorf("admin_listen is %s", s.AdminListen)
	}
}

func TestChanges(t *testing.T) {
	from := mustLoad(t, sources{})
	for _, k := range keys {
		v, ok := samples[k.name]
		if !ok {
			continue
		}
		reloads, restarts := Changes(from, mustLoad(t, sources{args: []string{"--" + k.flag() + "=" + v[0]}}))
		if k.kind.text(from) == v[0] {
			continue
		}
		got, other := restarts, reloads
		if k.reloads {
			got, other = reloads, restarts
		}
		if len(got) != 1 || got[0] != k.name || len(other) != 0 {
			t.Errorf("%s: reloads %v, restarts %v", k.name, reloads, restarts)
		}
	}
	same := mustLoad(t, sources{args: []string{"--retention=900s"}})
	if reloads, restarts := Changes(from, same); len(reloads)+len(restarts) != 0 {
		t.Errorf("the same in other words: reloads %v, restarts %v", reloads, restarts)
	}
	other := mustLoad(t, sources{args: []string{"--provider=openai=http://127.0.0.1:1"}})
	if reloads, _ := Changes(from, other); len(reloads) != 1 || reloads[0] != keyProviders {
		t.Errorf("another base URL: reloads %v", reloads)
	}
	// A new token in the file of before.
	a, b := *from, *from
	a.AdminToken, b.AdminToken = "one", "two"
	if _, restarts := Changes(&a, &b); len(restarts) != 1 || restarts[0] != "admin_token_file" {
		t.Errorf("another token: restarts %v", restarts)
	}
}

func TestWarnsOfMisspeltVariables(t *testing.T) {
	s := mustLoad(t, sources{env: []string{"RECOUP_RETENTON=5m", "RECOUP_SERVICE_HOST=10.0.0.1", "RECOUP_PORT=tcp://10.0.0.1:80", "RECOUP_FULL=1"}})
	want := "environment variable RECOUP_RETENTON is not used: did you mean RECOUP_RETENTION?"
	if len(s.Warnings) != 1 || s.Warnings[0] != want {
		t.Errorf("warnings: %q", s.Warnings)
	}
}

// Whoever can be reached by others has a token; the gateway makes one if it must.
func TestAdminExposed(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:8485": false, "127.1.2.3:8485": false, "[::1]:8485": false, "localhost:8485": false,
		"0.0.0.0:8485": true, ":8485": true, "[::]:8485": true, "192.0.2.1:8485": true, "gateway.internal:8485": true,
	} {
		s := mustLoad(t, sources{env: []string{"RECOUP_ADMIN_LISTEN=" + address}})
		if s.AdminExposed() != want || s.AdminToken != "" {
			t.Errorf("%s: exposed %v, token %q", address, s.AdminExposed(), s.AdminToken)
		}
	}
}

// The defaults must be what the gateway itself takes for valid.
func TestDefaults(t *testing.T) {
	s := mustLoad(t, sources{})
	if err := s.Gateway.Validate(); err != nil {
		t.Error(err)
	}
	if s.Gateway.Resume != gateway.ResumeMarked || len(s.Gateway.Providers) != 4 {
		t.Errorf("got %+v", s.Gateway)
	}
}

// Whatever a file holds, it is taken or refused with a reason.
func FuzzFile(f *testing.F) {
	for _, tt := range refusals {
		if tt.src.file != "" {
			f.Add(tt.src.file)
		}
	}
	f.Add("providers:\n  a: &b {base_url: http://h}\n  c: *b\n")
	f.Fuzz(func(t *testing.T, content string) {
		if content == "" || strings.Contains(content, "_file") {
			return // it could name any file of this machine
		}
		s, err := load(t, sources{file: content})
		refused := (*Error)(nil)
		switch {
		case err == nil && s == nil:
			t.Error("neither settings nor an error")
		case err != nil && (!errors.As(err, &refused) || len(refused.Problems) == 0 || refused.Report() == ""):
			t.Errorf("refused without a reason: %v", err)
		}
	})
}

// TestNames: a list of tags in the file, and those that can't be labels.
func TestNames(t *testing.T) {
	s := mustLoad(t, sources{file: "label_tags: [team, feature]\nspan_tags: []\n"})
	if !slices.Equal(s.LabelTags, []string{"team", "feature"}) || len(s.Gateway.SpanTags) != 0 {
		t.Errorf("%q %q", s.LabelTags, s.Gateway.SpanTags)
	}
	for text, want := range map[string]string{
		"[a b]":                    `"a b" is not a tag's name`,
		"[a, a]":                   `"a" is there twice`,
		"[a.b, a-b]":               `"a.b" and "a-b" would be one label, tag_a_b`,
		"[a, b, c, d, e, f]":       "6 names: want 5 at most",
		"[[a]]":                    "is not a plain value: want names",
		"{a: b}":                   "is not a plain value: want names",
		"a,,b":                     `"" is not a tag's name`,
		"['team,feature', 'team']": `"team" is there twice`,
	} {
		_, err := load(t, sources{file: "label_tags: " + text + "\n"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

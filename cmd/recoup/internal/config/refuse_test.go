package config

import (
	"errors"
	"strings"
	"testing"
)

// refusals are configurations and all that is said of them.
var refusals = []struct {
	name string
	src  sources
	want string
}{
	{"misspelt key", sources{file: "listen: 127.0.0.1:1\nretnetion: 15m\n"}, `
recoup.yaml:2: unknown key "retnetion": did you mean "retention"?
    2 | retnetion: 15m
      | ^
`},
	{"key spelt like a flag", sources{file: "data-dir: x\n"}, `
recoup.yaml:1: unknown key "data-dir": did you mean "data_dir"?
    1 | data-dir: x
      | ^
`},
	{"resume and principal", sources{file: "resume: never\nprincipal: X-Agent\n", env: []string{"RECOUP_PRINCIPAL=header:"}, args: []string{"--principal=header:a b"}}, `
recoup.yaml:1: resume: "never": want marked, auto or off
    1 | resume: never
      |         ^
recoup.yaml:2: principal: "X-Agent": want credential, or header: and the name of a header, such as header:X-Agent-Id
    2 | principal: X-Agent
      |            ^
RECOUP_PRINCIPAL: "header:": want credential, or header: and the name of a header, such as header:X-Agent-Id
--principal: "header:a b": want credential, or header: and the name of a header, such as header:X-Agent-Id
`},
	{"duration without unit", sources{file: "retention: 900\n", env: []string{"RECOUP_KEEPALIVE=soon"}, args: []string{"--orphan-grace=-1s"}}, `
recoup.yaml:1: retention: "900" is not a duration: want a number with its unit, such as 90s or 15m
    1 | retention: 900
      |            ^
RECOUP_KEEPALIVE: "soon" is not a duration: want a number with its unit, such as 90s or 15m
--orphan-grace: "-1s" is too short: want at least 0s
`},
	{"a bad value that another one beats", sources{file: "retention: x\n", args: []string{"--retention=15m"}}, `
recoup.yaml:1: retention: "x" is not a duration: want a number with its unit, such as 90s or 15m
    1 | retention: x
      |            ^
`},
	{"sizes, numbers, words", sources{file: "max_body_bytes: lots\nmax_orphans: 0\nsync_writes: maybe\nlog_level: loud\nmax_orphan_bytes: 0\n"}, `
recoup.yaml:1: max_body_bytes: "lots" is not a size: want bytes, or a number with its unit, such as 512MiB or 1GB
    1 | max_body_bytes: lots
      |                 ^
recoup.yaml:2: max_orphans: "0": want a whole number of at least 1
    2 | max_orphans: 0
      |              ^
recoup.yaml:3: sync_writes: "maybe": want true or false
    3 | sync_writes: maybe
      |              ^
recoup.yaml:4: log_level: "loud": want debug, info, warn or error
    4 | log_level: loud
      |            ^
recoup.yaml:5: max_orphan_bytes: "0" is too small: want at least 1
    5 | max_orphan_bytes: 0
      |                   ^
`},
	{"addresses", sources{env: []string{"RECOUP_LISTEN=8484"}, args: []string{"--admin-listen=localhost:http"}}, `
RECOUP_LISTEN: "8484" is not an address: want host:port, such as 127.0.0.1:8484
--admin-listen: "localhost:http" is not an address: want host:port, such as 127.0.0.1:8484
`},
	{"no plain value", sources{file: "retention: [15m]\ndata_dir:\nlisten: &a 127.0.0.1:1\n"}, `
recoup.yaml:1: retention: is not a plain value: want duration
    1 | retention: [15m]
      |            ^
recoup.yaml:2: data_dir: has no value: want path
    2 | data_dir:
      |          ^
recoup.yaml:3: listen: is not a plain value: want host:port
    3 | listen: &a 127.0.0.1:1
      |         ^
`},
	{"no YAML", sources{file: "retention: 15m\nlisten: [1\ndata_dir: x\n"}, `
recoup.yaml:3: ',' or ']' must be specified
    3 | data_dir: x
      | ^
`},
	{"tab", sources{file: "providers:\n\topenai: {}\n"}, `
recoup.yaml:2: found character '	' that cannot start any token
    2 | 	openai: {}
      | ^
`},
	{"key twice", sources{file: "retention: 15m\nretention: 16m\n"}, `
recoup.yaml:2: mapping key "retention" already defined at [1:1]
    2 | retention: 16m
      | ^
`},
	{"a list", sources{file: "- listen\n"}, `
recoup.yaml:1: want keys with values, such as listen: 127.0.0.1:8484
    1 | - listen
      | ^
`},
	{"two documents", sources{file: "retention: 15m\n---\nretention: 16m\n"}, `
recoup.yaml:3: a second document begins here: want one
    3 | retention: 16m
      |          ^
`},
	{"no such file", sources{args: []string{"--config=/nonexistent/recoup.yaml"}}, `
--config: open /nonexistent/recoup.yaml: no such file or directory
`},
	{"providers", sources{file: `providers:
  openai: {base_url: ftp://example.com, on_cancel: maybe}
  Mine: {base_url: http://h}
  recoup: {base_url: http://h}
  new: {dialect: openai}
  gemini: {dialect: google}
  groq: {dialekt: openai, api_key_env: KEY, resume: maybe}
  anthropic: http://h
`}, `
recoup.yaml:2: providers.openai.base_url: "ftp://example.com" is not a base URL: want http://host or https://host
    2 |   openai: {base_url: ftp://example.com, on_cancel: maybe}
      |                      ^
recoup.yaml:2: providers.openai.on_cancel: "maybe" is nothing that a provider does: want billing_stops, billed_in_full or unknown
    2 |   openai: {base_url: ftp://example.com, on_cancel: maybe}
      |                                                    ^
recoup.yaml:3: providers.Mine: "Mine" is no provider's name, which has lower-case letters, digits and dashes
    3 |   Mine: {base_url: http://h}
      |   ^
recoup.yaml:4: providers.recoup: "recoup" can't be a provider's name: paths that begin with it mean something else
    4 |   recoup: {base_url: http://h}
      |   ^
recoup.yaml:5: providers.new: has no base_url: want http://host or https://host
    5 |   new: {dialect: openai}
      |   ^
recoup.yaml:6: providers.gemini.dialect: "google" is no dialect: want openai, anthropic, gemini, cohere, bedrock or none
    6 |   gemini: {dialect: google}
      |                     ^
recoup.yaml:7: unknown key "dialekt": did you mean "dialect"?
    7 |   groq: {dialekt: openai, api_key_env: KEY, resume: maybe}
      |          ^
recoup.yaml:7: providers.groq.resume: "maybe" is no way to resume: want marked, auto or off
    7 |   groq: {dialekt: openai, api_key_env: KEY, resume: maybe}
      |                                                     ^
recoup.yaml:8: providers.anthropic: want base_url, dialect, on_cancel, resume, api_key_env, aws_credentials, region, include_usage, propagate_trace, such as {base_url: https://api.openai.com}
    8 |   anthropic: http://h
      |              ^
`},
	{"no key in the environment", sources{file: `providers:
  openai: {api_key_env: NO_SUCH_KEY}
  groq: {api_key_env: gsk_itself}
`}, `
recoup.yaml:3: providers.groq.api_key_env: is no name of a variable, which has capitals, digits and underscores: want the name of a variable of the environment, such as OPENAI_API_KEY
`},
	{"nothing in the environment", sources{file: "providers:\n  openai: {api_key_env: NO_SUCH_KEY}\n"}, `
recoup.yaml:2: providers.openai.api_key_env: the variable NO_SUCH_KEY is not set, or has no key: want the provider's key in the environment of the gateway
    2 |   openai: {api_key_env: NO_SUCH_KEY}
      |                         ^
`},
	{"providers is no mapping", sources{file: "providers: openai\n"}, `
recoup.yaml:1: providers: want providers by name, such as openai: {base_url: https://api.openai.com}
    1 | providers: openai
      |            ^
`},
	{"base URL with a query", sources{file: "providers:\n  openai:\n    base_url: https://h?key=1\n"}, `
recoup.yaml:3: providers.openai.base_url: no query, fragment or user may be in it
    3 |     base_url: https://h?key=1
      |               ^
`},
	{"provider flag", sources{env: []string{"RECOUP_PROVIDER=openai"}, args: []string{"--provider=openai=h", "--provider=v1=http://h"}}, `
RECOUP_PROVIDER: "openai": want name=url, such as openai=http://127.0.0.1:9000
--provider: "h" is not a base URL: want name=url, such as openai=http://127.0.0.1:9000
--provider: "v1" can't be a provider's name: paths that begin with it mean something else: want name=url, such as openai=http://127.0.0.1:9000
`},
	{"one port for both", sources{file: "listen: 127.0.0.1:8485\n"}, `
admin_listen (default): 127.0.0.1:8485 takes the same port as listen, 127.0.0.1:8485 (recoup.yaml:1): want another port
`},
	{"one port by wildcard", sources{args: []string{"--listen=:80", "--admin-listen=127.0.0.1:80"}}, `
--admin-listen: 127.0.0.1:80 takes the same port as listen, :80 (--listen): want another port
`},
	{"retention below the grace", sources{file: "retention: 30s\n"}, `
recoup.yaml:1: retention: 30s is shorter than orphan_grace, 1m (default): want at least as much
    1 | retention: 30s
      |            ^
`},
	{"secret files", sources{file: "encryption_key_file: {dir}/short\nadmin_token_file: {dir}/short\n"}, `
recoup.yaml:1: encryption_key_file: {dir}/short: its 6 bytes are no key: want a file with 32 bytes, raw or as hex or base64
    1 | encryption_key_file: {dir}/short
      |                      ^
recoup.yaml:2: admin_token_file: {dir}/short: no token in it: want a file with a token of at least 16 printable characters, without spaces
    2 | admin_token_file: {dir}/short
      |                   ^
`},
	{"secret files that aren't there", sources{args: []string{"--encryption-key-file={dir}/none"}, env: []string{"RECOUP_ADMIN_TOKEN_FILE=/dev/zero"}}, `
--encryption-key-file: open {dir}/none: no such file or directory: want a file with 32 bytes, raw or as hex or base64
RECOUP_ADMIN_TOKEN_FILE: /dev/zero: larger than 4096 bytes: want a file with a token of at least 16 printable characters, without spaces
`},
}

func TestRefusals(t *testing.T) {
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.src)
			refused := (*Error)(nil)
			if !errors.As(err, &refused) {
				t.Fatalf("not refused: %v", err)
			}
			got := refused.Report()
			// The excerpt shows the file as it was written, with the real directory.
			if strings.Contains(tt.want, "| encryption_key_file") {
				got = maskExcerpts(got)
			}
			if want := strings.TrimPrefix(tt.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has more than one line: %q", err)
			}
		})
	}
}

// maskExcerpts puts {dir} where an excerpt names the directory of the test.
func maskExcerpts(report string) string {
	lines := strings.Split(report, "\n")
	for i, line := range lines {
		if head, path, ok := strings.Cut(line, "_file: /"); ok {
			lines[i] = head + "_file: {dir}" + path[strings.LastIndexByte(path, '/'):]
		}
	}
	return strings.Join(lines, "\n")
}

func TestUnknownFlag(t *testing.T) {
	_, err := load(t, sources{args: []string{"--data_dirs=x"}})
	if want := "unknown flag: --data_dirs: did you mean --data-dir?"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNearest(t *testing.T) {
	for name, want := range map[string]string{
		"lsiten": "listen", "retention_": "retention", "write_timout": "write_timeout", "xyz": "", "": "", "timeout": "",
		"orphan_gace": "orphan_grace", "pprofs": "pprof",
	} {
		if got := nearest(name, keyNames()); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
}

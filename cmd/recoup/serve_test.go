package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestServe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	p := serve(t, dir)
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := get(t, p.admin+path); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	_, text := get(t, p.admin+"/metrics")
	contains(t, text, "recoup_build_info{version=", "recoup_log_bytes ", "recoup_streams{", "go_goroutines ", "process_open_fds ")

	secret := filepath.Join(dir, "secret")
	for path, want := range map[string]os.FileMode{dir: os.ModeDir | 0o700, secret: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
	}
	before, err := os.ReadFile(secret)
	if err != nil || len(before) != secretBytes {
		t.Fatalf("the secret has %d bytes, %v", len(before), err)
	}
	p.stop(t)
	serve(t, dir).stop(t)
	if after, err := os.ReadFile(secret); err != nil || string(after) != string(before) {
		t.Errorf("the second start changed the secret: %v", err)
	}
	if left, _ := filepath.Glob(secret + ".*"); len(left) != 1 || left[0] != secret+".sum" {
		t.Errorf("left behind: %v", left)
	}
}

// Commits are measured.
func TestCommitMetrics(t *testing.T) {
	upstream := newProvider(t)
	close(upstream.finish)
	p := serve(t, t.TempDir(), "--provider=openai="+upstream.URL)
	_, body := p.call(t)
	if rest, err := io.ReadAll(body); err != nil || string(rest) != restEvents {
		t.Fatalf("the rest is %q, %v", rest, err)
	}
	_, text := get(t, p.admin+"/metrics")
	for _, zero := range []string{"recoup_commit_seconds_count 0\n", "recoup_commit_events_count 0\n", "recoup_commit_events_sum 0\n"} {
		if strings.Contains(text, zero) {
			t.Errorf("after a stream there is %q", zero)
		}
	}
}

// SIGTERM waits for the streams, and everything answers meanwhile.
func TestDrain(t *testing.T) {
	upstream := newProvider(t)
	p := serve(t, t.TempDir(), "--provider=openai="+upstream.URL)
	_, body := p.call(t)
	p.signals <- syscall.SIGTERM
	p.log.await(t, "stopping")
	until(t, "readiness says no", func() bool { code, _ := get(t, p.admin+"/readyz"); return code == http.StatusServiceUnavailable })
	if code, _ := get(t, p.admin+"/healthz"); code != http.StatusOK {
		t.Errorf("health says %d", code)
	}
	if resp, _ := p.call(t); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a new call gets %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
	close(upstream.finish)
	if rest, err := io.ReadAll(body); err != nil || string(rest) != restEvents {
		t.Errorf("the rest is %q, %v", rest, err)
	}
	if code := p.awaitExit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p.log.await(t, "stopped")
	if _, err := client.Get(p.url); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it still listens: %v", err)
	}
}

// until waits for a condition that nothing announces.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// A second signal, and the end of drain_timeout, interrupt what still runs: its
// client must not take that for the end of the answer.
func TestStopsAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name, flag, cause string
		signals           []os.Signal
	}{
		{"second signal", "--drain-timeout=1h", "a second signal came", []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT}},
		{"drain_timeout", "--drain-timeout=50ms", "drain_timeout is over", []os.Signal{syscall.SIGINT}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			upstream := newProvider(t)
			p := serve(t, t.TempDir(), "--provider=openai="+upstream.URL, tt.flag)
			_, body := p.call(t)
			for _, sig := range tt.signals {
				p.signals <- sig
			}
			if rest, err := io.ReadAll(body); err == nil {
				t.Errorf("a clean end after %q", rest)
			}
			if code := p.awaitExit(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			contains(t, attr(p.log.await(t, "not all streams could end by themselves"), "error"), tt.cause)
			p.log.await(t, "stopped")
		})
	}
}

// A call that is passed through is no stream, but SIGTERM waits for it too.
func TestPassedThroughAtTheEnd(t *testing.T) {
	for _, hurry := range []bool{false, true} {
		upstream := newProvider(t)
		p := serve(t, t.TempDir(), "--provider=openai="+upstream.URL)
		resp, err := client.Get(p.url + "/v1/files")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		p.signals <- syscall.SIGTERM
		p.log.await(t, "stopping")
		if hurry {
			p.signals <- syscall.SIGTERM
			if rest, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("a clean end after %q", rest)
			}
			p.log.await(t, "connections are cut off")
		} else {
			close(upstream.finish)
			if all, err := io.ReadAll(resp.Body); err != nil || string(all) != firstEvent+restEvents {
				t.Errorf("%q, %v", all, err)
			}
		}
		if code := p.awaitExit(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
		p.log.await(t, "stopped")
	}
}

// The end of the context is like SIGTERM.
func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	log := newJournal()
	exit := make(chan int, 1)
	go func() {
		run := program{stdout: io.Discard, stderr: log}
		exit <- run.run(ctx, []string{"serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--data-dir=" + t.TempDir(), "--log-format=json", "--min-free=0"})
	}()
	log.await(t, "recoup is ready")
	cancel()
	if code := <-exit; code != 0 {
		t.Errorf("exit code %d:\n%s", code, log)
	}
}

func TestReload(t *testing.T) {
	first, second := newProvider(t), newProvider(t)
	close(first.finish)
	close(second.finish)
	path := filepath.Join(t.TempDir(), "recoup.yaml")
	configure := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("log_level: error\nproviders: {openai: {base_url: '" + first.URL + "'}}\n")
	p := serve(t, t.TempDir(), "--config="+path, "--log-level=info")

	answers := func(up *provider) {
		t.Helper()
		_, body := p.call(t)
		if rest, err := io.ReadAll(body); err != nil || string(rest) != restEvents {
			t.Fatalf("%q, %v", rest, err)
		}
	}
	answers(first)

	configure("retention: 20m\npprof: true\nproviders: {openai: {base_url: '" + second.URL + "'}}\n")
	p.signals <- syscall.SIGHUP
	if keys := attr(p.log.await(t, "changed keys need a restart"), "keys"); keys != "[pprof]" {
		t.Errorf("need a restart: %s", keys)
	}
	if keys := attr(p.log.await(t, "configuration reloaded"), "changed"); keys != "[retention providers]" {
		t.Errorf("changed: %s", keys)
	}
	first.Close()
	answers(second)

	configure("retention: 20m\nproviders: {openai: {base_url: nowhere}}\nresume: off\n")
	p.signals <- syscall.SIGHUP
	refused := p.log.await(t, "the new configuration is refused, the old one goes on")
	if want := path + `:2: providers.openai.base_url: "nowhere" is not a base URL: want http://host or https://host`; attr(refused, "problem") != want {
		t.Errorf("refused: %v", refused)
	}
	answers(second)

	// What needs a restart is compared with what runs, not with the last file.
	configure("providers: {openai: {base_url: '" + second.URL + "'}}\n")
	p.signals <- syscall.SIGHUP
	if keys := attr(p.log.await(t, "configuration reloaded"), "changed"); keys != "[retention]" {
		t.Errorf("changed: %s", keys)
	}
	if n := strings.Count(p.log.String(), "need a restart"); n != 1 {
		t.Errorf("%d times a restart was needed", n)
	}
	p.stop(t)
}

// A real process gets real signals.
func TestProcess(t *testing.T) {
	upstream := newProvider(t)
	log := newJournal()
	c := exec.CommandContext(t.Context(), os.Args[0], "serve", "--log-format=json", "--min-free=0")
	c.Env = []string{asCommand + "=1", "RECOUP_LISTEN=127.0.0.1:0", "RECOUP_ADMIN_LISTEN=127.0.0.1:0", "RECOUP_DATA_DIR=" + t.TempDir(), "RECOUP_PROVIDER=openai=" + upstream.URL}
	c.Stderr = log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ready := log.await(t, "recoup is ready")
	p := process{url: attr(ready, "url"), log: log}
	_, body := p.call(t)
	send := func(sig os.Signal, answer string) {
		t.Helper()
		if err := c.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		log.await(t, answer)
	}
	send(syscall.SIGHUP, "configuration reloaded")
	send(syscall.SIGTERM, "stopping")
	close(upstream.finish)
	if rest, err := io.ReadAll(body); err != nil || string(rest) != restEvents {
		t.Errorf("the rest is %q, %v", rest, err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("%v:\n%s", err, log)
	}
}

func TestRefusesToStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	held := t.TempDir()
	serve(t, held)
	encrypted := t.TempDir()
	key := filepath.Join(t.TempDir(), "key")
	write(t, key, strings.Repeat("k", 32))
	serve(t, encrypted, "--encryption-key-file="+key).stop(t)
	plain := t.TempDir()
	serve(t, plain).stop(t)
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	damaged := t.TempDir()
	write(t, filepath.Join(damaged, "secret"), "half of i")

	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"port in use", []string{"--listen=" + taken.Addr().String()},
			[]string{"recoup: listen: " + taken.Addr().String() + " is already in use", "(--listen, RECOUP_LISTEN)"}},
		{"admin port in use", []string{"--admin-listen=" + taken.Addr().String()},
			[]string{"recoup: admin_listen: ", "(--admin-listen, RECOUP_ADMIN_LISTEN)"}},
		{"no such address", []string{"--listen=192.0.2.1:0"}, []string{"recoup: listen: ", "assign requested address"}},
		{"second process", []string{"--data-dir=" + held},
			[]string{"recoup: data_dir: ", "another process is using this data directory", "(--data-dir, RECOUP_DATA_DIR)"}},
		{"file for a directory", []string{"--data-dir=" + file + "/data"}, []string{"recoup: data_dir: mkdir ", "not a directory", "--data-dir"}},
		{"unwritable", []string{"--data-dir=/proc/recoup"}, []string{"recoup: data_dir: mkdir /proc/recoup: "}},
		{"damaged secret", []string{"--data-dir=" + damaged}, []string{"recoup: data_dir: ", "/secret is damaged: it has 9 bytes and should have 32"}},
		{"no room", []string{"--min-free=1EiB"}, []string{"recoup: data_dir: ", "not enough free space", "(--min-free, RECOUP_MIN_FREE)"}},
		{"without its key", []string{"--data-dir=" + encrypted}, []string{"recoup: data_dir: ", "another encryption key, or with none"}},
		{"with a key too many", []string{"--data-dir=" + plain, "--encryption-key-file=" + key}, []string{"recoup: data_dir: ", "encryption key"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--data-dir=" + t.TempDir(), "--min-free=0", "--log-level=error"}, tt.args...)
			code, stderr := fails(t, args...)
			if code != exitFailed {
				t.Errorf("exit code %d", code)
			}
			contains(t, stderr, tt.want...)
			if last := stderr[strings.LastIndex(stderr, "recoup: "):]; strings.Count(last, "\n") != 1 {
				t.Errorf("more than one line:\n%s", last)
			}
		})
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Two processes that start together on a fresh directory get one secret.
func TestSecretIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	secrets := make(chan string)
	for range 8 {
		go func() {
			secret, err := loadSecret(dir)
			if err != nil {
				t.Error(err)
			}
			secrets <- string(secret)
		}()
	}
	first := <-secrets
	for range 7 {
		if <-secrets != first {
			t.Error("two secrets")
		}
	}
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"serv"}, exitUsage, "recoup: unknown command \"serv\""},
		{[]string{"serve", "now"}, exitUsage, "recoup: unknown command \"now\" for \"recoup serve\": want recoup serve [flags]\n"},
		{[]string{"incident", "opne", "deploy"}, exitUsage, "recoup: unknown command \"opne\" for \"recoup incident\": want close, list, open, show\n"},
		{[]string{"incident", "open"}, exitUsage, "recoup: accepts 1 arg(s), received 0: want recoup incident open NAME [flags]\n"},
		{[]string{"serve", "--retension=1m"}, exitUsage, "recoup: unknown flag: --retension: did you mean --retention?\n"},
		{[]string{"serve", "--retention=soon"}, exitUsage, "recoup: the configuration is refused\n--retention: \"soon\" is not a duration"},
		{[]string{"serve", "--help"}, 0, ""},
		{[]string{"--version"}, 0, ""},
	} {
		code, stderr := fails(t, tt.args...)
		if code != tt.code || !strings.HasPrefix(stderr, tt.want) || tt.want == "" && stderr != "" {
			t.Errorf("%v: exit code %d, %q", tt.args, code, stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	var stdout strings.Builder
	run := program{stdout: &stdout, stderr: io.Discard}
	if code := run.run(t.Context(), []string{"version"}); code != 0 {
		t.Errorf("exit code %d", code)
	}
	line, err := bufio.NewReader(strings.NewReader(stdout.String())).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "recoup "+version()+" go1.") {
		t.Errorf("%q, %v", line, err)
	}
}

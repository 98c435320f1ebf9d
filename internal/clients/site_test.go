package clients

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// patience is how long a test waits for what must come. A Python on a busy machine
// takes its time to start.
const patience = 60 * time.Second

// apiKey is what clients send to the provider, unless a test says otherwise.
const apiKey = "sk-alice"

// recoup is the program, built once.
var recoup = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "recoup")
	c := exec.Command("go", "build", "-o", path, "github.com/recoup-gateway/recoup/cmd/recoup")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// scratch is a directory that lives as long as the tests.
var scratch string

// site is a provider on this machine, and a gateway in front of it.
type site struct {
	t        *testing.T
	sim      *simulator.Simulator
	provider string // URLs
	gateway  string
	caller   string // Authorization of who asks the gateway's own API
}

// What calls to Bedrock are signed for, and by which access key the gateway does it.
const (
	region     = "us-east-1"
	gatewayKey = "AKIAOFGATEWAY"
)

// bedrockConfig is a gateway's configuration where it signs.
const bedrockConfig = `{"providers": {"bedrock": {"base_url": %q, "dialect": "bedrock", "on_cancel": "billed_in_full", "aws_credentials": true, "region": %q}}}`

// newSite starts both. They end with the test.
func newSite(t *testing.T, flags ...string) *site {
	t.Helper()
	s := &site{t: t, sim: simulator.New(simulator.Options{Deterministic: true, Keys: []string{apiKey, otherKey, gatewayKey}}), caller: "Bearer " + apiKey}
	srv, err := s.sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	s.provider = srv.URL
	s.gateway = s.startGateway(flags)
	return s
}

// as is the site as a client sees it.
func (s *site) as(c client) *site {
	mine := *s
	if c.dialect.signed {
		mine.caller = "AWS4-HMAC-SHA256 Credential=" + apiKey + "/20261129/" + region + "/bedrock/aws4_request, SignedHeaders=host, Signature=00"
	}
	return &mine
}

// in is the site in a part of its test.
func (s *site) in(t *testing.T) *site {
	part := *s
	part.t = t
	return &part
}

// startGateway runs `recoup serve` until the test ends.
func (s *site) startGateway(flags []string) string {
	s.t.Helper()
	program, err := recoup()
	if err != nil {
		s.t.Fatal(err)
	}
	config := filepath.Join(s.t.TempDir(), "recoup.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, bedrockConfig, s.provider, region), 0o600); err != nil {
		s.t.Fatal(err)
	}
	args := append([]string{"serve", "--config=" + config, "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--data-dir=" + s.t.TempDir(), "--log-format=json", "--min-free=0"}, flags...)
	for _, name := range []string{"openai", "anthropic", "gemini"} {
		args = append(args, "--provider="+name+"="+s.provider)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"AWS_ACCESS_KEY_ID=" + gatewayKey, "AWS_SECRET_ACCESS_KEY=secret"}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ready := make(chan string, 1)
	var read sync.WaitGroup
	read.Go(func() { readLog(stderr, ready) })
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill() // nothing of it is needed any more
		read.Wait()
		_ = cmd.Wait() // "killed"
	})
	select {
	case url, ok := <-ready:
		if !ok {
			s.t.Fatal("the gateway ended before it was ready")
		}
		return url
	case <-time.After(patience):
		s.t.Fatal("the gateway doesn't get ready")
	}
	return ""
}

// readLog reads a gateway's log to its end, and tells of its URL. A panic of the
// gateway goes on to who reads the test.
func readLog(log io.Reader, ready chan<- string) {
	defer close(ready)
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var record struct{ Msg, URL string }
		switch err := json.Unmarshal(lines.Bytes(), &record); {
		case err != nil:
			fmt.Fprintf(os.Stderr, "gateway: %s\n", lines.Bytes())
		case record.Msg == "recoup is ready":
			ready <- record.URL
		}
	}
}

// newest is the id of the newest stream, "" where there is none yet.
func (s *site) newest() string {
	s.t.Helper()
	var page struct{ Streams []struct{ ID string } }
	s.ask(http.MethodGet, "/recoup/streams?limit=1", &page)
	if len(page.Streams) == 0 {
		return ""
	}
	return page.Streams[0].ID
}

// ask asks the gateway's own API.
func (s *site) ask(method, path string, into any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.gateway+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", s.caller)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		s.t.Fatal(err)
	}
}

// awaitNoReader waits until the gateway knows that nobody reads the newest stream
// any more: a connection that isn't known to be gone keeps its answer.
func (s *site) awaitNoReader() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if id := s.newest(); id != "" {
			var status struct{ Connections []any }
			if s.ask(http.MethodGet, "/recoup/streams/"+id+"/status", &status); len(status.Connections) == 0 {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatal("the newest stream has a reader still")
		}
	}
}

// waitIdle waits until the bill is final.
func (s *site) waitIdle() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := s.sim.WaitIdle(ctx); err != nil {
		s.t.Fatal(err)
	}
}

// waitStalled waits until the provider is silent, and all before that is sent.
func (s *site) waitStalled() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := s.sim.WaitStalled(ctx, 1); err != nil {
		s.t.Fatal(err)
	}
}

package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// child is `recoup serve` in a process of its own, which can be killed.
type child struct {
	cmd   *exec.Cmd
	url   string
	admin string
	dir   string // of its data
	log   *journal
}

func serveChild(t *testing.T, dir, provider string, args ...string) *child {
	t.Helper()
	return serveChildIn(t, nil, dir, provider, args...)
}

// serveChildIn is serveChild with more in its environment.
func serveChildIn(t *testing.T, env []string, dir, provider string, args ...string) *child {
	t.Helper()
	c := &child{dir: dir, log: newJournal()}
	args = append([]string{"serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--data-dir=" + dir, "--log-format=json",
		"--min-free=0", "--provider=openai=" + provider, "--provider=anthropic=" + provider}, args...)
	c.cmd = exec.Command(os.Args[0], args...)
	c.cmd.Env = append([]string{asCommand + "=1", "GORACE=" + os.Getenv("GORACE")}, env...)
	c.cmd.Stderr = c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	ready := c.log.await(t, "recoup is ready")
	c.url, c.admin = ready["url"].(string), ready["admin_url"].(string)
	return c
}

// kill sends SIGKILL and waits for the end. It may be called again.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// reader is a client under load, with what it has received.
type reader struct {
	id    string
	body  []byte
	whole bool
}

// TestKilledUnderLoad kills the gateway with SIGKILL while many clients read,
// again and again. After each restart all that a client had received is there,
// and each stream is completed or interrupted.
func TestKilledUnderLoad(t *testing.T) {
	kills, clients := 20, 24
	if os.Getenv("RECOUP_FULL") != "" {
		kills, clients = 30, 100
	}
	for _, sync := range []string{"false", "true"} {
		t.Run("sync_writes="+sync, func(t *testing.T) {
			sim := simulator.New(simulator.Options{Default: simulator.Script{Tokens: 80, Interval: time.Millisecond, Usage: simulator.UsageAlways}})
			provider, err := sim.Start("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer provider.Close()
			dir := t.TempDir()
			completed := 0
			var counted counters
			for round := range kills {
				c := serveChild(t, dir, provider.URL, "--sync-writes="+sync)
				readers := load(t, c, clients, 20_000+rand.N(clients*60_000))
				c = serveChild(t, dir, provider.URL, "--sync-writes="+sync)
				counted = counted.goOn(t, c)
				for _, r := range readers {
					if check(t, c, r) {
						completed++
					}
				}
				c.kill()
				if t.Failed() {
					t.Fatalf("in round %d", round)
				}
			}
			checkBooks(t, dir, provider.URL, sim)
			t.Logf("%d kills, %d provider calls, %d streams were complete", kills, sim.Calls(), completed)
		})
	}
}

// load starts clients, kills the gateway once they have received some bytes
// together, and returns what each had.
func load(t *testing.T, c *child, clients, killAfter int) []*reader {
	t.Helper()
	var received atomic.Int64
	var wg sync.WaitGroup
	enough := make(chan struct{})
	var once sync.Once
	var mu sync.Mutex
	var readers []*reader
	for i := range clients {
		wg.Go(func() {
			for buf := make([]byte, 4096); ; {
				resp, err := client.Do(chatRequest(c.url, fmt.Sprint(i)))
				if err != nil {
					return
				}
				r := &reader{id: resp.Header.Get("Recoup-Stream-Id")}
				mu.Lock()
				readers = append(readers, r)
				mu.Unlock()
				for {
					n, err := resp.Body.Read(buf)
					r.body = append(r.body, buf[:n]...)
					if received.Add(int64(n)) > int64(killAfter) {
						once.Do(func() { close(enough) })
					}
					if err != nil {
						r.whole = err == io.EOF
						break
					}
				}
				resp.Body.Close()
				if !r.whole {
					return
				}
			}
		})
	}
	select {
	case <-enough:
	case <-time.After(patience):
		t.Fatalf("%d bytes received, waiting for %d:\n%s", received.Load(), killAfter, c.log)
	}
	c.kill()
	if state := c.cmd.ProcessState; state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the gateway was not killed: %v\n%s", state, c.log)
	}
	wg.Wait()
	return readers
}

// check reads a stream again after the restart.
func check(t *testing.T, c *child, r *reader) (completed bool) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, c.url+"/recoup/streams/"+r.id, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer key")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	stored, err := io.ReadAll(resp.Body)
	state := resp.Header.Get("Recoup-Stream-Status")
	completed = state == "completed"
	switch {
	case resp.StatusCode == http.StatusServiceUnavailable && len(r.body) == 0:
		return false // accepted, and killed before the provider answered
	case resp.StatusCode != http.StatusOK:
		t.Errorf("stream %s: %d %s", r.id, resp.StatusCode, stored)
	case !bytes.HasPrefix(stored, r.body):
		t.Errorf("stream %s: %d bytes were received, %d are stored and they are not those", r.id, len(r.body), len(stored))
	case state != "completed" && state != "interrupted":
		t.Errorf("stream %s is %q", r.id, state)
	case completed != (err == nil) || r.whole && !completed:
		t.Errorf("stream %s is %s: the client had it whole: %v, the replay ended with %v", r.id, state, r.whole, err)
	case completed && !bytes.HasSuffix(stored, []byte("data: [DONE]\n\n")) && r.whole:
		t.Errorf("stream %s is complete and ends with %q", r.id, stored[max(0, len(stored)-40):])
	}
	return completed
}

func chatRequest(url, user string) *http.Request {
	req, err := http.NewRequest(http.MethodPost, url+"/v1/chat/completions",
		strings.NewReader(`{"model":"gpt-5.5","stream":true,"user":"`+user+`","messages":[{"role":"user","content":"Hi"}]}`))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer key")
	req.Header.Set("Content-Type", "application/json")
	return req
}

package simulator_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// pipes is a listener in memory, so that a bubble's clock rules all of it.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- server
	return client, nil
}

// inBubble runs a test against a simulator under a fake clock.
func inBubble(t *testing.T, script simulator.Script, test func(*testing.T, *fixture)) {
	synctest.Test(t, func(t *testing.T) {
		ln := &pipes{make(chan net.Conn), make(chan struct{})}
		sim := simulator.New(simulator.Options{Default: script})
		server := sim.Serve(ln)
		transport := &http.Transport{DialContext: ln.dial, DisableCompression: true}
		defer func() {
			transport.CloseIdleConnections()
			if err := server.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(t, &fixture{sim, t, server.URL, server, &http.Client{Transport: transport}})
	})
}

func TestPaceOfAStream(t *testing.T) {
	script := simulator.Script{Tokens: 5, HeaderDelay: time.Second, TTFT: 2 * time.Second, Interval: 30 * time.Millisecond}
	inBubble(t, script, func(t *testing.T, f *fixture) {
		began := time.Now()
		resp, err := f.client.Do(f.request(t.Context(), chatPath, chatStream))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if d := time.Since(began); d != time.Second {
			t.Errorf("head after %v", d)
		}
		var at []time.Duration
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if strings.Contains(lines.Text(), `"delta":{"content":`) {
				at = append(at, time.Since(began))
			}
		}
		for i, d := range at {
			if want := 3*time.Second + time.Duration(i)*30*time.Millisecond; d != want {
				t.Errorf("token %d after %v, want %v", i, d, want)
			}
		}
		if len(at) != 5 {
			t.Errorf("%d tokens", len(at))
		}
	})
}

func TestPaceOfAWholeAnswerAndAStall(t *testing.T) {
	script := simulator.Script{Tokens: 10, TokensPerEvent: 2, TTFT: time.Second, Interval: 50 * time.Millisecond}
	inBubble(t, script, func(t *testing.T, f *fixture) {
		began := time.Now()
		f.ok(chatPath, chatWhole)
		if d := time.Since(began); d != 1200*time.Millisecond {
			t.Errorf("whole after %v", d)
		}
		f.ok(messagesPath, messagesStream)
		if d := time.Since(began); d != 2400*time.Millisecond {
			t.Errorf("stream after %v", d)
		}
		// A stall moves what comes after it; it isn't caught up with.
		stalling := script
		stalling.StallAfterEvents = 3
		f.Next(stalling)
		began = time.Now()
		time.AfterFunc(10*time.Second, func() { f.Release() })
		f.ok(chatPath, chatStream)
		if d := time.Since(began); d != 10*time.Second+150*time.Millisecond {
			t.Errorf("released stream after %v", d)
		}
	})
}

func TestHiddenTokensAreGeneratedBeforeTheFirst(t *testing.T) {
	for _, tc := range []struct {
		body              string
		leave             time.Duration
		generated, billed int
	}{
		{chatStream, 3 * time.Second, 300, 307},
		{chatStream, 10*time.Second + 45*time.Millisecond, 1005, 1012}, // due at 10.00, 10.01, …
		{chatWhole, 3 * time.Second, 300, 307},
		{chatWhole, 10*time.Second + 500*time.Millisecond, 1050, 1057},
	} {
		script := simulator.Script{Tokens: 101, Hidden: 1000, TTFT: 10 * time.Second, Interval: 10 * time.Millisecond,
			OnDisconnect: simulator.BillStops, TailTokens: 7}
		inBubble(t, script, func(t *testing.T, f *fixture) {
			c, cancel := context.WithTimeout(t.Context(), tc.leave)
			defer cancel()
			resp, err := f.client.Do(f.request(c, chatPath, tc.body))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if err == nil {
				t.Error("the answer came in time")
			}
			e := f.last()
			if e.Generated != tc.generated || e.Billed != tc.billed || e.End != simulator.EndGone {
				t.Errorf("left %s after %v: %+v", tc.body[:30], tc.leave, e)
			}
		})
	}
}

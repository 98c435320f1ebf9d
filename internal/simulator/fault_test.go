package simulator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// cutError is what a Go client sees of each cut.
func cutError(t *testing.T, cut simulator.Cut, err error) {
	t.Helper()
	ok := err == nil
	switch cut {
	case simulator.CutRST:
		ok = errors.Is(err, syscall.ECONNRESET)
	case simulator.CutFIN, "":
		ok = errors.Is(err, io.ErrUnexpectedEOF)
	}
	if !ok {
		t.Errorf("cut %q: error %v", cut, err)
	}
}

var cutEnds = map[simulator.Cut]simulator.End{
	simulator.CutFIN:   simulator.EndCutFIN,
	simulator.CutRST:   simulator.EndCutRST,
	simulator.CutClean: simulator.EndClean,
}

func TestCutAfterEvents(t *testing.T) {
	for cut, end := range cutEnds {
		for _, path := range []string{chatPath, messagesPath} {
			for _, n := range []int{-1, 1, 7, 11} {
				t.Run(fmt.Sprintf("%s%s/%d", cut, path, n), func(t *testing.T) {
					f := start(t, simulator.Options{Default: simulator.Script{Tokens: 20, Cut: cut, CutAfterEvents: n}})
					body := map[string]string{chatPath: chatStream, messagesPath: messagesStream}[path]
					resp, got, err := f.post(path, body)
					cutError(t, cut, err)
					if resp.StatusCode != http.StatusOK {
						t.Errorf("status %d", resp.StatusCode)
					}
					// role, or message_start, ping and content_block_start
					first := map[string]int{chatPath: 1, messagesPath: 3}[path]
					e := f.last()
					if seen := events(t, got, "\n"); len(seen) != max(n, 0) || e.Events != max(n, 0) {
						t.Errorf("%d events seen, %d in the bill, want %d", len(seen), e.Events, n)
					}
					if want := max(n-first, 0); e.Billed != want || e.Generated != want || e.Answer != 20 || e.End != end || e.Input == 0 {
						t.Errorf("want %d tokens, entry %+v", want, e)
					}
				})
			}
		}
	}
}

func TestCutAfterBytesFallsAnywhere(t *testing.T) {
	f := start(t, simulator.Options{Deterministic: true, Default: simulator.Script{Tokens: 8, Unicode: true}})
	whole := f.ok(chatPath, chatStream)
	for cut, end := range cutEnds {
		for _, n := range []int{-1, 1, 2, 299, len(whole) / 2, len(whole) - 1, len(whole)} {
			f.Next(simulator.Script{Tokens: 8, Unicode: true, CutAfterBytes: n, Cut: cut})
			_, got, err := f.post(chatPath, chatStream)
			cutError(t, cut, err)
			if e := f.last(); !bytes.Equal(got, whole[:max(n, 0)]) || e.Bytes != max(n, 0) || e.End != end {
				t.Errorf("%s after %d: got %d bytes, entry %+v", cut, n, len(got), e)
			}
		}
	}
}

func TestCutOfAWholeBody(t *testing.T) {
	for cut, end := range cutEnds {
		f := start(t, simulator.Options{Default: simulator.Script{Tokens: 30, CutAfterBytes: 100, Cut: cut}})
		_, got, err := f.post(chatPath, chatWhole)
		cutError(t, cut, err)
		if e := f.last(); len(got) != 100 || e.End != end || e.Billed != 30 {
			t.Errorf("%s: %d bytes, entry %+v", cut, len(got), e)
		}
	}
}

func TestDropBeforeTheHead(t *testing.T) {
	for cut, want := range map[simulator.Cut]error{simulator.CutFIN: io.EOF, simulator.CutRST: syscall.ECONNRESET} {
		f := start(t, simulator.Options{Default: simulator.Script{Drop: true, Cut: cut}})
		_, err := f.client.Do(f.request(ctx(t), chatPath, chatStream))
		if !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", cut, err, want)
		}
		if e := f.last(); e.End != simulator.EndDropped || e.InputTotal()+e.Billed != 0 || e.Status != 0 {
			t.Errorf("%s: entry %+v", cut, e)
		}
	}
}

func TestErrorStatuses(t *testing.T) {
	f := start(t, simulator.Options{})
	for status, types := range map[int][2]string{
		400: {"invalid_request_error", "invalid_request_error"},
		401: {"invalid_request_error", "authentication_error"},
		403: {"invalid_request_error", "permission_error"},
		404: {"invalid_request_error", "not_found_error"},
		429: {"requests", "rate_limit_error"},
		500: {"server_error", "api_error"},
		503: {"server_error", "overloaded_error"},
		529: {"server_error", "overloaded_error"},
	} {
		script := simulator.Script{Status: status, Headers: map[string]string{"Retry-After": "7", "X-Should-Retry": "false"}}
		for i, path := range []string{chatPath, messagesPath} {
			f.Next(script)
			resp, body, err := f.post(path, chatStream)
			if err != nil || resp.StatusCode != status || resp.Header.Get("Retry-After") != "7" || resp.Header.Get("X-Should-Retry") != "false" {
				t.Fatalf("status %d: got %d %v, %v", status, resp.StatusCode, resp.Header, err)
			}
			got := decode[struct {
				Type      string
				RequestID string `json:"request_id"`
				Error     struct{ Type, Message string }
			}](t, string(body))
			if got.Error.Type != types[i] || got.Error.Message == "" {
				t.Errorf("status %d: %s", status, body)
			}
			e := f.last()
			if i == 1 && (got.Type != "error" || got.RequestID != e.RequestID) {
				t.Errorf("anthropic's error is %s", body)
			}
			if e.End != simulator.EndRejected || e.Status != status || e.InputTotal()+e.Billed != 0 {
				t.Errorf("entry %+v", e)
			}
		}
	}
}

func TestErrorEventInTheStream(t *testing.T) {
	script := simulator.Script{Tokens: 20, ErrorAfterEvents: 6, Error: simulator.ErrorBody{Code: "boom", Message: "went wrong"}}
	f := start(t, simulator.Options{Default: script})
	seen := events(t, f.ok(chatPath, chatStream), "\n")
	last := seen[len(seen)-1]
	got := decode[struct {
		Error struct{ Message, Type, Code string }
	}](t, last.data)
	if len(seen) != 7 || last.name != "" || got.Error.Message != "went wrong" || got.Error.Code != "boom" || got.Error.Type != "server_error" {
		t.Errorf("%d events, last %+v", len(seen), last)
	}
	if e := f.last(); e.End != simulator.EndError || e.Billed != 5 || e.Events != 7 {
		t.Errorf("entry %+v", e)
	}
	named := script
	named.NamedError = true
	f.Next(named)
	if seen := events(t, f.ok(chatPath, chatStream), "\n"); seen[6].name != "error" {
		t.Errorf("last %+v", seen[6])
	}
	a := readMessage(t, f.ok(messagesPath, messagesStream))
	if a.names[len(a.names)-1] != "error" || len(a.names) != 7 {
		t.Errorf("events %v", a.names)
	}
	timeout := script
	timeout.Status, timeout.Error = 504, simulator.ErrorBody{}
	f.Next(timeout)
	contains(t, f.ok(messagesPath, messagesStream), `"type":"timeout_error"`)
}

func TestStallUntilReleased(t *testing.T) {
	for name, script := range map[string]simulator.Script{
		"events": {Tokens: 10, StallAfterEvents: 4},
		"bytes":  {Tokens: 10, StallAfterBytes: 333},
		"head":   {Tokens: 10, StallAfterEvents: -1},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, simulator.Options{Default: script})
			resp := f.open(f.request(ctx(t), chatPath, chatStream))
			if err := f.WaitStalled(ctx(t), 1); err != nil {
				t.Fatal(err)
			}
			e := f.Bill()[0]
			if e.End != simulator.EndStalled || !e.Stalled || !e.Ended.IsZero() {
				t.Errorf("entry %+v", e)
			}
			before := readN(t, resp.Body, e.Bytes)
			if n := f.Release(); n != 1 {
				t.Errorf("released %d", n)
			}
			rest, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if a := readChat(t, append(before, rest...)); words(a.texts[0]) != 10 || !a.done {
				t.Errorf("answer %+v", a)
			}
			if e := f.last(); e.End != simulator.EndCompleted || e.Billed != 10 || !e.Stalled {
				t.Errorf("entry %+v", e)
			}
		})
	}
}

func TestStallBeforeTheHead(t *testing.T) {
	f := start(t, simulator.Options{Default: simulator.Script{Tokens: 10, StallHead: true}})
	for _, body := range []string{chatStream, chatWhole} {
		c, cancel := context.WithCancel(ctx(t))
		failed := make(chan error, 1)
		go func() {
			_, err := f.client.Do(f.request(c, chatPath, body))
			failed <- err
		}()
		if err := f.WaitStalled(ctx(t), 1); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		want := map[string]int{chatStream: 0, chatWhole: 10}[body] // what isn't streamed is billed in full
		if e := f.last(); e.End != simulator.EndGone || e.Status != 0 || e.Input == 0 || e.Billed != want {
			t.Errorf("entry %+v", e)
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	f := start(t, simulator.Options{})
	f.Next(
		simulator.Script{Tokens: 10, StallAfterEvents: 3},
		simulator.Script{Tokens: 10, StallHead: true},
		simulator.Script{Tokens: 10, OnDisconnect: simulator.BillFull, StallAfterEvents: 3},
	)
	failed := make(chan error, 3)
	for i := range 3 {
		go func() {
			resp, err := f.client.Do(f.request(ctx(t), chatPath, chatStream))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			failed <- err
		}()
		if err := f.WaitStalled(ctx(t), i+1); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.server.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-failed; err == nil {
			t.Error("a client saw a clean end")
		}
	}
	var billed []int
	for _, e := range f.Bill() {
		if e.End != simulator.EndClosed || e.Ended.IsZero() {
			t.Errorf("entry %+v", e)
		}
		billed = append(billed, e.Billed)
	}
	if got := fmt.Sprint(billed); got != "[2 0 10]" {
		t.Errorf("billed %s", got)
	}
	if _, err := http.Get(f.url); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("after Close: %v", err)
	}
}

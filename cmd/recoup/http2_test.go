package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"syscall"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// newHTTP2Client speaks HTTP/2 without TLS from the first byte on, as AWS's SDK for JavaScript does.
func newHTTP2Client(t *testing.T) *http.Client {
	t.Helper()
	var speaks http.Protocols
	speaks.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &speaks}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// By HTTP/2 an answer that was left is come back to by its key, and is the same as by HTTP/1.1.
func TestHTTP2ComesBackToItsAnswer(t *testing.T) {
	sim, provider := startSimulator(t)
	p := serve(t, t.TempDir(), "--provider=openai="+provider)
	sim.Next(simulator.Script{Tokens: 60, StallAfterEvents: 20})
	c := newHTTP2Client(t)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	keyed := func(ctx context.Context) *http.Request {
		r := chatRequest(p.url, "alice").WithContext(ctx)
		r.Header.Set("Idempotency-Key", "run:step")
		return r
	}
	first, err := c.Do(keyed(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Body.Close()
	if first.ProtoMajor != 2 {
		t.Fatalf("it was answered by %s", first.Proto)
	}
	if _, err := io.ReadFull(first.Body, make([]byte, 500)); err != nil {
		t.Fatal(err)
	}
	leave()
	if err := sim.WaitStalled(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	sim.Release()
	var bodies [2]string
	for i, c := range []*http.Client{c, client} {
		again, err := c.Do(keyed(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		defer again.Body.Close()
		body, err := io.ReadAll(again.Body)
		if bodies[i] = string(body); err != nil || again.Header.Get("Recoup-Resumed") != "key" {
			t.Errorf("by %s: resumed %q, %v", again.Proto, again.Header.Get("Recoup-Resumed"), err)
		}
	}
	if contains(t, bodies[0], "[DONE]"); bodies[0] != bodies[1] || sim.Calls() != 1 {
		t.Errorf("%d calls, %q and %q", sim.Calls(), bodies[0], bodies[1])
	}
}

// What ended early has no clean end by HTTP/2 either.
func TestHTTP2AnswerThatIsCut(t *testing.T) {
	sim, provider := startSimulator(t)
	p := serve(t, t.TempDir(), "--provider=openai="+provider)
	sim.Next(simulator.Script{Tokens: 60, CutAfterEvents: 20, Cut: simulator.CutClean})
	resp, err := newHTTP2Client(t).Do(chatRequest(p.url, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil || len(body) == 0 {
		t.Errorf("%q, %v", body, err)
	}
}

// SIGTERM waits for the streams of HTTP/2 connections, and closes those that are idle.
func TestHTTP2AtTheEnd(t *testing.T) {
	upstream := newProvider(t)
	p := serve(t, t.TempDir(), "--provider=openai="+upstream.URL)
	resp, err := newHTTP2Client(t).Do(chatRequest(p.url, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	p.signals <- syscall.SIGTERM
	p.log.await(t, "stopping")
	close(upstream.finish)
	if all, err := io.ReadAll(resp.Body); err != nil || string(all) != firstEvent+restEvents {
		t.Errorf("%q, %v", all, err)
	}
	if code := p.awaitExit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p.log.await(t, "stopped")
	if _, err := client.Get(p.url); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it still listens: %v", err)
	}
}

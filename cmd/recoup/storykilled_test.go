package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// The story of a stream whose gateway was killed says so once, from the log; the books
// know only that it stopped.
func TestStoryOfKilled(t *testing.T) {
	t.Parallel()
	_, upstream := startSimulator(t)
	dir := t.TempDir()
	first := serveChild(t, dir, upstream, "--retention=2s", "--orphan-grace=1s")
	req := chatRequest(first.url, "0")
	req.Header.Set(simulator.ScriptHeader, simulator.Script{Tokens: 20, StallAfterEvents: 10}.Header())
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	id := resp.Header.Get("Recoup-Stream-Id")
	first.kill()
	again := serveChild(t, dir, upstream, "--retention=2s", "--orphan-grace=1s")
	story := func() string {
		code, body := get(t, again.admin+"/api/v1/streams/"+id+"/story")
		var s struct{ Story []struct{ What string } }
		if err := json.Unmarshal([]byte(body), &s); err != nil || code != http.StatusOK {
			t.Fatalf("%d %s: %v", code, body, err)
		}
		var all []string
		for _, c := range s.Story {
			all = append(all, c.What)
		}
		return strings.Join(all, " ")
	}
	if got := story(); got != "accepted connected gateway_killed ended" {
		t.Errorf("the log tells: %s", got)
	}
	req, err = http.NewRequestWithContext(t.Context(), http.MethodGet, again.url+"/recoup/streams/"+id, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer key")
	resumed, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resumed.Body.Close()
	_, _ = io.Copy(io.Discard, resumed.Body) // it is cut off: the answer has no end
	until(t, "the books tell it", func() bool { return story() == "accepted connected gateway_stopped ended connected broke" })
}

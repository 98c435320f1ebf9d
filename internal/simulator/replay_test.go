package simulator_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

func TestRecordingsReplayByteEqual(t *testing.T) {
	recs, err := simulator.Recordings(recordings(t))
	if err != nil {
		t.Fatal(err)
	}
	f := start(t, simulator.Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	for _, rec := range recs {
		body, err := rec.Body()
		if err != nil {
			t.Fatal(err)
		}
		checkFraming(t, rec, body)
		var cuts []int
		for range 20 {
			cuts = append(cuts, rng.IntN(len(body)+1))
		}
		script, err := simulator.ReplayOf(rec, cuts...)
		if err != nil {
			t.Fatal(err)
		}
		f.Next(script)
		resp, got, err := f.post("/v1/any/path", `{}`)
		if err != nil || !bytes.Equal(got, body) || resp.Header.Get("Content-Type") != rec.ContentType() {
			t.Errorf("%s: %d bytes of %d, %v", rec.File, len(got), len(body), err)
		}
		e := f.last()
		if rec.HasUsage && (e.Billed != rec.Output || e.Hidden != min(rec.Reasoning, rec.Output) || e.InputTotal() != rec.Input) {
			t.Errorf("%s: entry %+v, recording %+v", rec.File, e, rec)
		}
		checkEvents(t, rec, e.Events)

		script.CutAfterBytes, script.Cut = 1+rng.IntN(len(body)), simulator.CutFIN
		f.Next(script)
		_, got, err = f.post("/v1/any/path", `{}`)
		cutError(t, simulator.CutFIN, err)
		if !bytes.Equal(got, body[:script.CutAfterBytes]) {
			t.Errorf("%s: %d bytes before the cut, want %d", rec.File, len(got), script.CutAfterBytes)
		}
		if e := f.last(); e.Billed != rec.Output*script.CutAfterBytes/len(body) || e.End != simulator.EndCutFIN {
			t.Errorf("%s: entry %+v", rec.File, e)
		}
	}
	t.Logf("%d recordings", len(recs))
}

// checkFraming compares the body with the file that it was made of.
func checkFraming(t *testing.T, rec simulator.Recording, body []byte) {
	t.Helper()
	raw, err := rec.Raw()
	if err != nil {
		t.Fatal(err)
	}
	if rec.Framing != "json-lines" {
		sum := sha256.Sum256(raw)
		if !bytes.Equal(raw, body) || len(raw) != rec.Bytes || hex.EncodeToString(sum[:]) != rec.SHA256 {
			t.Errorf("%s: the body isn't the file", rec.File)
		}
		return
	}
	seen := events(t, body, "\n")
	var lines []string
	for _, e := range seen {
		lines = append(lines, e.data)
		if named := rec.Dialect == "openai-responses"; named != (e.name != "") || named && !strings.Contains(e.data, `"type":"`+e.name+`"`) {
			t.Errorf("%s: event %q of %.80s", rec.File, e.name, e.data)
		}
	}
	if got := strings.Join(lines, "\n"); got != strings.TrimSpace(string(raw)) {
		t.Errorf("%s: %d lines differ from the file", rec.File, len(lines))
	}
}

// checkEvents compares the count with the index, which doesn't count [DONE];
// it may count a last event that lacks its blank line.
func checkEvents(t *testing.T, rec simulator.Recording, n int) {
	t.Helper()
	if rec.Done {
		n--
	}
	if n != rec.Events && n != rec.Events-1 {
		t.Errorf("%s: %d events, the index has %d", rec.File, n, rec.Events)
	}
}

func TestReplayByNameThroughTheHeader(t *testing.T) {
	const name = "openai-chat__groq__test-chat-streaming-legacy__0.sse"
	f := start(t, simulator.Options{Recordings: recordings(t)})
	send := func(script simulator.Script) simulator.Entry {
		r := f.request(ctx(t), "/openai/v1/chat/completions", chatStream)
		r.Header.Set(simulator.ScriptHeader, script.Header())
		resp := f.open(r)
		var b bytes.Buffer
		_, _ = b.ReadFrom(resp.Body)
		return f.last()
	}
	e := send(simulator.Script{Replay: &simulator.Replay{Name: name}})
	if e.Billed != 73 || e.Input != 18 || e.Bytes != 19975 || e.End != simulator.EndCompleted {
		t.Errorf("entry %+v", e)
	}
	if e := send(simulator.Script{Replay: &simulator.Replay{Name: "none"}}); e.Status != 500 || e.End != simulator.EndRejected {
		t.Errorf("entry %+v", e)
	}
}

func TestReplayOfBytesAtAPace(t *testing.T) {
	f := start(t, simulator.Options{})
	data := []byte("data: 1\r\n\r\n: hello\r\n\r\ndata: 2\r\n\r\n")
	f.Next(simulator.Script{
		Tokens: 10, Input: 5, Interval: time.Millisecond, StallAfterBytes: 25,
		Replay: &simulator.Replay{Data: data, Cuts: []int{20, 3, 99}, ContentType: "text/x"},
	})
	c, cancel := context.WithCancel(ctx(t))
	defer cancel()
	resp, err := f.client.Do(f.request(c, "/v1beta/models/m:streamGenerateContent", `{}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := f.WaitStalled(ctx(t), 1); err != nil {
		t.Fatal(err)
	}
	if got := readN(t, resp.Body, 25); !bytes.Equal(got, data[:25]) || resp.Header.Get("Content-Type") != "text/x" {
		t.Errorf("got %q", got)
	}
	cancel()
	if e := f.last(); e.Billed != 10*25/len(data) || e.Input != 5 || e.Events != 1 || e.End != simulator.EndGone {
		t.Errorf("entry %+v", e)
	}
}

func TestRecordingsOfNoFolder(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		if recs, err := simulator.Recordings(dir); err == nil {
			t.Errorf("%q: %d recordings", dir, len(recs))
		}
	}
}

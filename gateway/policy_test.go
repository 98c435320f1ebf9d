package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// TestWhenTheClientLeaves is the table of DESIGN section 6: what becomes of a
// stream whose client goes away and does not come back.
func TestWhenTheClientLeaves(t *testing.T) {
	streamed := simulator.Script{Tokens: 100, StallAfterEvents: 20}
	plainBody := `{"model":"gpt-5.5","messages":[]}`
	for _, c := range []struct {
		name   string
		path   string
		body   string
		header header
		script simulator.Script
		config func(*gateway.Config)
		resume bool // before the stall is over
		state  streamlog.State
		cause  string
	}{
		{name: "reclaimable, nobody comes", header: header{"Idempotency-Key": "k"}, script: streamed,
			config: func(c *gateway.Config) { c.OrphanGrace = 30 * time.Millisecond }, state: streamlog.Cancelled, cause: "grace"},
		{name: "reclaimable by header, nobody comes", header: header{"Recoup-On-Disconnect": "continue"}, script: streamed,
			config: func(c *gateway.Config) { c.OrphanGrace = 30 * time.Millisecond }, state: streamlog.Cancelled, cause: "grace"},
		{name: "reclaimable, provider goes on", header: header{"Idempotency-Key": "k"}, script: streamed, resume: true, state: streamlog.Completed},
		{name: "not reclaimable", script: streamed, state: streamlog.Cancelled, cause: "disconnect"},
		{name: "not reclaimable, billed in full", path: "/full" + chatPath, script: streamed, resume: true, state: streamlog.Completed},
		{name: "not streamed", body: plainBody, script: simulator.Script{Tokens: 100, StallAfterBytes: 50}, resume: true, state: streamlog.Completed},
		{name: "billed in full, but told to cancel", path: "/full" + chatPath, header: header{"X-Recoup-On-Disconnect": "cancel"}, script: streamed, state: streamlog.Cancelled, cause: "disconnect"},
		{name: "reclaimable, but told to cancel", header: header{"Idempotency-Key": "k", "Recoup-On-Disconnect": "cancel"}, script: streamed, state: streamlog.Cancelled, cause: "disconnect"},
		{name: "resume is off", header: header{"Idempotency-Key": "k"}, script: streamed,
			config: func(c *gateway.Config) { c.Resume = gateway.ResumeOff }, state: streamlog.Cancelled, cause: "disconnect"},
		{name: "too many bytes in orphans", header: header{"Idempotency-Key": "k"}, script: streamed,
			config: func(c *gateway.Config) { c.MaxOrphanBytes = 10 }, state: streamlog.Cancelled, cause: "cap"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *site) {
				if c.config != nil {
					c.config(&s.config)
				}
			})
			if c.path == "" {
				c.path = chatPath
			}
			if c.body == "" {
				c.body = chatBody
			}
			s.sim.Next(c.script)
			resp := s.do(http.MethodPost, c.path, c.body, c.header)
			if c.script.StallAfterEvents > 0 {
				readUntil(t, resp.Body, 100)
			}
			id := resp.Header.Get("Recoup-Stream-Id")
			resp.Body.Close()
			if c.resume {
				s.releaseStalled()
			}
			info := s.awaitState(id, c.state)
			if info.End.Cause != c.cause {
				t.Errorf("cause %q, want %q", info.End.Cause, c.cause)
			}
			if n := s.sim.Calls(); n != 1 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// TestLeavesBeforeTheFirstEvent: a call that nobody could come back for is kept
// up for a moment, because an SDK may be about to repeat it.
func TestLeavesBeforeTheFirstEvent(t *testing.T) {
	s := newSite(t, func(s *site) { s.config.FirstEventGrace = 30 * time.Millisecond })
	s.sim.Next(simulator.Script{StallAfterEvents: -1})
	resp := s.do(http.MethodPost, chatPath, chatBody, nil)
	id := resp.Header.Get("Recoup-Stream-Id")
	resp.Body.Close()
	if info := s.awaitState(id, streamlog.Cancelled); info.End.Cause != "disconnect" || info.Events != 0 {
		t.Errorf("end %+v after %d events", info.End, info.Events)
	}
}

func TestTooManyOrphans(t *testing.T) {
	s := newSite(t, func(s *site) { s.config.MaxOrphans = 2 })
	var ids []string
	for i := range 3 {
		s.sim.Next(simulator.Script{StallAfterEvents: 5})
		resp := s.do(http.MethodPost, chatPath, chatBody, header{"Idempotency-Key": fmt.Sprint(i)})
		readUntil(t, resp.Body, 10)
		ids = append(ids, resp.Header.Get("Recoup-Stream-Id"))
		resp.Body.Close()
		s.awaitConnections(ids[i], 0)
	}
	if info := s.awaitState(ids[0], streamlog.Cancelled); info.End.Cause != "cap" {
		t.Errorf("the oldest ended by %q", info.End.Cause)
	}
	s.waitStalled(2)
	s.sim.Release()
	s.awaitState(ids[1], streamlog.Completed)
	s.awaitState(ids[2], streamlog.Completed)
}

// awaitConnections waits until n connections read a stream.
func (s *site) awaitConnections(id string, n int) {
	s.t.Helper()
	parsed, err := streamlog.ParseID(id)
	if err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); s.gateway.ConnectionsForTest(parsed) != n; runtime.Gosched() {
		if time.Now().After(deadline) {
			s.t.Fatalf("stream %s has %d connections, want %d", id, s.gateway.ConnectionsForTest(parsed), n)
		}
	}
}

// TestCancel: the reader sees an abort, the answer is not offered again, and
// saying it twice or too late changes nothing.
func TestCancel(t *testing.T) {
	s := newSite(t)
	s.sim.Next(simulator.Script{Tokens: 100, StallAfterEvents: 20})
	h := header{"Idempotency-Key": "k"}
	resp := s.do(http.MethodPost, chatPath, chatBody, h)
	readUntil(t, resp.Body, 100)
	id := resp.Header.Get("Recoup-Stream-Id")
	for range 2 {
		_, data := s.must(200, http.MethodPost, "/recoup/streams/"+id+"/cancel", "", nil)
		var st struct{ State, Cause string }
		if err := json.Unmarshal(data, &st); err != nil || st.State != "cancelled" || st.Cause != "cancelled" {
			t.Fatalf("after the cancel: %s", data)
		}
	}
	if _, err := io.ReadAll(resp.Body); !aborted(err) {
		t.Errorf("the reader's body ended with %v", err)
	}
	resp.Body.Close()
	fresh, whole := s.must(200, http.MethodPost, chatPath, chatBody, h)
	if fresh.Header.Get("Recoup-Resumed") != "no; reason=ended" || s.sim.Calls() != 2 {
		t.Errorf("the key of a cancelled stream: Recoup-Resumed %q, %d calls", fresh.Header.Get("Recoup-Resumed"), s.sim.Calls())
	}
	newID := fresh.Header.Get("Recoup-Stream-Id")
	_, data := s.must(200, http.MethodPost, "/recoup/streams/"+newID+"/cancel", "", nil)
	var st struct{ State string }
	if err := json.Unmarshal(data, &st); err != nil || st.State != "completed" {
		t.Errorf("cancel after the end: %s", data)
	}
	_, again := s.must(200, http.MethodPost, chatPath, chatBody, h)
	sameBytes(t, "after a cancel that came too late", again, whole)
}

// TestTakeOver: a newer connection owns the stream; when it goes, the older one,
// still connected, owns it again, and nobody is missed.
func TestTakeOver(t *testing.T) {
	s := newSite(t, func(s *site) { s.config.OrphanGrace = 0 })
	s.sim.Next(simulator.Script{Tokens: 100, StallAfterEvents: 20})
	h := header{"Idempotency-Key": "k"}
	older := s.do(http.MethodPost, chatPath, chatBody, h)
	head := readUntil(t, older.Body, 100)
	id := older.Header.Get("Recoup-Stream-Id")
	newer := s.do(http.MethodPost, chatPath, chatBody, h)
	readUntil(t, newer.Body, 100)
	if got := newer.Header.Get("Recoup-Resumed"); got != "key" {
		t.Errorf("Recoup-Resumed %q", got)
	}
	observer := s.do(http.MethodGet, "/recoup/streams/"+id+"?observe=1", "", nil)
	readUntil(t, observer.Body, 100)
	s.awaitConnections(id, 3)
	newer.Body.Close()
	s.awaitConnections(id, 2)
	s.releaseStalled()
	rest, err := io.ReadAll(older.Body)
	older.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	_, whole := s.must(200, http.MethodGet, "/recoup/streams/"+id, "", nil)
	sameBytes(t, "the older connection", append(head, rest...), whole)
	observer.Body.Close()
	s.awaitState(id, streamlog.Completed)
	s.awaitConnections(id, 0)
	s.expectMetric(`
		# HELP recoup_breaks_total Owners' connections that ended before the terminal event was written to them, by cause.
		# TYPE recoup_breaks_total counter
		recoup_breaks_total{cause="client",model="gpt-5.5",provider="openai"} 1
	`, "recoup_breaks_total")
}

// TestAnObserverDoesNotKeepAStream: only an owner does.
func TestAnObserverDoesNotKeepAStream(t *testing.T) {
	s := newSite(t)
	s.sim.Next(simulator.Script{Tokens: 100, StallAfterEvents: 20})
	owner := s.do(http.MethodPost, chatPath, chatBody, nil)
	readUntil(t, owner.Body, 100)
	id := owner.Header.Get("Recoup-Stream-Id")
	observer := s.do(http.MethodGet, "/recoup/streams/"+id+"?observe=1", "", nil)
	readUntil(t, observer.Body, 100)
	owner.Body.Close()
	s.awaitState(id, streamlog.Cancelled)
	if _, err := io.ReadAll(observer.Body); !aborted(err) {
		t.Errorf("the observer's body ended with %v", err)
	}
	observer.Body.Close()
}

// TestResumeIsCounted follows one break and its resume through the metrics and
// the marks.
func TestResumeIsCounted(t *testing.T) {
	s := newSite(t)
	s.sim.Next(simulator.Script{Tokens: 100, StallAfterEvents: 20})
	h := header{"Idempotency-Key": "k"}
	first := s.do(http.MethodPost, chatPath, chatBody, h)
	readUntil(t, first.Body, 100)
	id := first.Header.Get("Recoup-Stream-Id")
	first.Body.Close()
	s.awaitConnections(id, 0)
	s.expectMetric("# HELP recoup_streams Streams whose provider is still answering, by whether an owner is connected.\n# TYPE recoup_streams gauge\n"+
		"recoup_streams{state=\"attached\"} 0\nrecoup_streams{state=\"orphaned\"} 1\n", "recoup_streams")
	s.releaseStalled()
	s.awaitState(id, streamlog.Completed)
	s.must(200, http.MethodPost, chatPath, chatBody, h)
	s.awaitConnections(id, 0)
	if completed, all := s.resumes("key"); completed != 1 || all != 1 {
		t.Errorf("%v of %v resumes were counted as completed, by key", completed, all)
	}
	if n, err := testutil.GatherAndCount(s.registry, "recoup_resume_gap_seconds"); err != nil || n != 1 {
		t.Errorf("resume gap: %d series, %v", n, err)
	}
	marks := s.marks(id)
	want := []string{"attach at 0 first", "detach client", "attach at 0 key", "detach done"}
	if fmt.Sprint(marks) != fmt.Sprint(want) {
		t.Errorf("marks %q, want %q", marks, want)
	}
}

// resumes is how many resumes of a kind were completed, and how many there were in all.
func (s *site) resumes(via string) (completed, all float64) {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "recoup_resumes_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			all += m.GetCounter().GetValue()
			if labels["via"] == via && labels["result"] == "completed" {
				completed += m.GetCounter().GetValue()
			}
		}
	}
	return completed, all
}

// marks lists a stream's attach and detach marks.
func (s *site) marks(id string) (out []string) {
	s.t.Helper()
	parsed, err := streamlog.ParseID(id)
	if err != nil {
		s.t.Fatal(err)
	}
	st := s.get(parsed)
	defer st.Release()
	err = st.History(func(e streamlog.Entry) error {
		if m := e.Mark; m != nil && m.Kind == streamlog.MarkAttach {
			out = append(out, fmt.Sprintf("attach at %d %s", m.Index, m.Cause))
		} else if m != nil && m.Kind == streamlog.MarkDetach {
			out = append(out, fmt.Sprintf("detach %s", m.Cause))
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

package streamlog

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// story writes a history down: events as e0, e1 (with + where one goes on), marks
// with their index, the rest by name.
func story(t *testing.T, s *Stream) string {
	t.Helper()
	var words []string
	err := s.History(func(e Entry) error {
		if e.At.Before(s.header.Accepted) || e.At.After(time.Now()) {
			t.Errorf("entry at %v of a stream that was accepted at %v", e.At, s.header.Accepted)
		}
		switch {
		case e.Attempt != nil:
			words = append(words, fmt.Sprintf("attempt%d", e.Attempt.Number))
		case e.Head != nil:
			words = append(words, "head")
		case e.Event != nil && e.Event.More:
			words = append(words, fmt.Sprintf("e%d+", e.Event.Index))
		case e.Event != nil:
			words = append(words, fmt.Sprintf("e%d", e.Event.Index))
		case e.Mark != nil:
			name := map[MarkKind]string{MarkAttach: "attach", MarkDelivered: "delivered", MarkDetach: "detach", MarkCancel: "cancel", MarkClaim: "claim", MarkKill: "kill"}[e.Mark.Kind]
			words = append(words, fmt.Sprintf("%s%d@%d", name, e.Mark.Conn, e.Mark.Index))
		case e.End != nil:
			words = append(words, "end")
		}
		return nil
	})
	if err != nil {
		t.Errorf("history: %v", err)
	}
	return strings.Join(words, " ")
}

// TestHistoryAsItHappened follows a stream: after each step that was acknowledged
// its history has it, in memory, and at the end loaded, and after a crash.
func TestHistoryAsItHappened(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testOptions(t))
	s := create(t, l)
	want := "attempt1"
	var first, second *Conn
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	attach := func(index uint64) *Conn {
		c, err := s.Attach(Attachment{Index: index, Via: "id", Explicit: index > 0})
		must(err)
		return c
	}
	event := func(parts ...string) {
		for i, p := range parts {
			must(s.Append([]Event{{Data: []byte(p), More: i < len(parts)-1}}))
		}
	}
	for _, step := range []struct {
		do   func()
		adds string
	}{
		{func() { first = attach(0); event("a") }, " attach1@0 e0"},
		{func() { event("b") }, " e1"}, // nothing was written to the connection yet
		{func() { first.Delivered(1); event("c") }, " delivered1@1 e2"},
		{func() { first.Delivered(3); event("d") }, " delivered1@3 e3"},
		{func() { second = attach(2); event("e") }, " attach2@2 e4"},
		{func() { must(s.Append([]Event{{Data: []byte("f"), More: true}})) }, " e5+"},
		{func() { must(first.Detach("client")) }, " detach1@3"}, // within an event
		{func() { second.Delivered(5); event("g", "h") }, " delivered2@5 e5+ e5"},
		{func() { must(s.Attempt(Attempt{Number: 2, Started: time.Now()})) }, " attempt2"},
		{func() { second.Delivered(6); finish(t, s) }, " end"},
		{func() { must(second.Detach("done")) }, " detach2@6"},
		{func() { must(attach(0).Detach("done")) }, " attach3@0 detach3@0"},
	} {
		step.do()
		want += step.adds
		if got := story(t, s); got != want {
			t.Fatalf("history\n%s, want\n%s", got, want)
		}
	}
	image := crash(t, dir)
	id := s.header.ID
	s.Release()
	create(t, l).Release() // s has left memory
	for _, dir := range []string{"", dir, image} {
		if dir != "" {
			if l != nil {
				must(l.Close())
			}
			l = openLog(t, dir, testOptions(t))
		}
		s, err := l.ForBooks(id)
		must(err)
		if got := story(t, s); got != want {
			t.Errorf("loaded\n%s, want\n%s", got, want)
		}
		s.Release()
	}
	must(l.Close())
}

// TestMarksInHistory: what a mark says comes back.
func TestMarksInHistory(t *testing.T) {
	l := openLog(t, t.TempDir(), testOptions(t))
	defer l.Close()
	s := create(t, l)
	defer s.Release()
	if _, err := s.Attach(Attachment{Index: 0, Via: "auto", Observe: true, Explicit: true}); err != nil {
		t.Fatal(err)
	}
	want := []Mark{
		{Kind: MarkAttach, Conn: 1, Cause: "auto", Observe: true, Explicit: true},
		{Kind: MarkKill},
		{Kind: MarkCancel, Cause: "superseded"},
	}
	for _, m := range want[1:] {
		if err := s.Mark(m); err != nil {
			t.Fatal(err)
		}
	}
	finish(t, s)
	var got []Mark
	if err := s.History(func(e Entry) error {
		if e.Mark != nil {
			got = append(got, *e.Mark)
		}
		return nil
	}); err != nil || !slices.Equal(got, want) {
		t.Errorf("marks %+v, %v", got, err)
	}
}

// TestAttemptsAndHeader: a stream knows its attempts and what it was called with,
// in memory, loaded, and recovered.
func TestAttemptsAndHeader(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testOptions(t))
	missed, err := NewID()
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Create(Header{
		Principal: alice, Model: "m", ServiceTier: "flex", MaxTokens: 100, BodyBytes: 12345, UsageInjected: true,
		Missed: &Missed{Stream: missed, Reason: "not-opted-in"},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := s.Header()
	want := []Attempt{{Number: 1, Started: h.Accepted, UsageInjected: true}}
	check := func(s *Stream, when string) {
		t.Helper()
		i := s.Info()
		same := func(a, b Attempt) bool {
			return a.Number == b.Number && a.UsageInjected == b.UsageInjected && a.Started.Equal(b.Started)
		}
		if !slices.EqualFunc(i.Attempts, want, same) {
			t.Errorf("%s: attempts %+v, want %+v", when, i.Attempts, want)
		}
		got := i.Header
		got.Accepted = h.Accepted // the zone is another pointer
		if !reflect.DeepEqual(got, h) {
			t.Errorf("%s: header %+v, want %+v", when, got, h)
		}
		var seen []Attempt
		if err := s.History(func(e Entry) error {
			if e.Attempt != nil {
				seen = append(seen, *e.Attempt)
			}
			return nil
		}); err != nil || !slices.EqualFunc(seen, want, same) {
			t.Errorf("%s: attempts in the history %+v, %v", when, seen, err)
		}
	}
	check(s, "opened")
	want = append(want, Attempt{Number: 2, Started: time.Now()})
	if err := s.Attempt(want[1]); err != nil {
		t.Fatal(err)
	}
	image := crash(t, dir)
	check(s, "asked again")
	if err := s.SetHead(Head{Attempt: 2, Status: 200}); err != nil {
		t.Fatal(err)
	}
	finish(t, s)
	check(s, "ended")
	s.Release()
	create(t, l).Release()
	if s, err = l.Get(alice, h.ID); err != nil {
		t.Fatal(err)
	}
	check(s, "loaded")
	s.Release()
	infos, err := l.List(alice, ID{}, 0, func(i Info) bool { return i.Header.ID == h.ID })
	if err != nil || len(infos) != 1 || len(infos[0].Attempts) != 2 {
		t.Errorf("listed: %+v, %v", infos, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, image, testOptions(t))
	for _, s := range l.Recovered() {
		check(s, "recovered")
		finish(t, s)
		check(s, "recovered and ended")
		if err := s.Settled(); err != nil {
			t.Error(err)
		}
		s.Release()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

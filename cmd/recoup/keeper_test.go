package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// A gateway that was killed, and starts when what it had not booked is older than
// ledger_retention, books it first.
func TestKeeperWaitsForTheLog(t *testing.T) {
	o := streamlog.Options{Retention: time.Hour, Logger: slog.New(slog.DiscardHandler)}
	dir := t.TempDir()
	open := func() *streamlog.Log {
		t.Helper()
		l, err := streamlog.Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	log := open()
	again := func() {
		t.Helper()
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		log = open()
	}
	s, err := log.Create(streamlog.Header{Principal: streamlog.Hash{1}, Provider: "openai", Model: "gpt-5.5"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Finish(streamlog.End{State: streamlog.Interrupted}); err != nil {
		t.Fatal(err)
	}
	id, accepted := s.Header().ID, s.Header().Accepted
	s.Release()
	before := func() time.Time { // if all of it is older
		k := &keeper{log: log}
		k.retention.Store(int64(-100 * 24 * time.Hour))
		return k.before()
	}
	again()
	if before := before(); before.After(accepted) {
		t.Errorf("summarised up to %s, with a stream of %s that is not booked", before, accepted)
	}
	if s, err = log.ForBooks(id); err != nil {
		t.Fatal(err)
	}
	if err := s.Settled(); err != nil {
		t.Fatal(err)
	}
	s.Release()
	again()
	if before := before(); before.Before(accepted.AddDate(0, 3, 0)) {
		t.Errorf("summarised up to %s, and all of it is booked", before)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

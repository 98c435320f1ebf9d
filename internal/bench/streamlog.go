package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// logStore is Recoup's own log.
type logStore struct {
	dir string
	log *streamlog.Log
	ids []streamlog.ID
}

func openStreamLog(dir string, sync bool) (store, error) {
	l, err := streamlog.Open(dir, streamlog.Options{Retention: time.Hour, SyncWrites: sync})
	if err != nil {
		return nil, err
	}
	return &logStore{dir: dir, log: l}, nil
}

func newStream(l *streamlog.Log) (*streamlog.Stream, error) {
	return l.Create(streamlog.Header{Provider: "openai", Dialect: "openai", Endpoint: "chat.completions", Model: "gpt-5.5", Streamed: true})
}

// create makes all streams at once: each waits for its commit, and one after
// the other would take as many commits as there are streams.
func (s *logStore) create(ctx context.Context, n int) ([]appendFunc, error) {
	s.ids = make([]streamlog.ID, n)
	appends := make([]appendFunc, n)
	group, _ := errgroup.WithContext(ctx)
	for i := range n {
		group.Go(func() error {
			st, err := newStream(s.log)
			if err != nil {
				return err
			}
			s.ids[i] = st.Header().ID
			events := make([]streamlog.Event, 1)
			appends[i] = func(event []byte) error {
				events[0] = streamlog.Event{Data: event, Text: true}
				return st.Append(events)
			}
			return nil
		})
	}
	return appends, group.Wait()
}

func (s *logStore) close() error { return s.log.Close() }

func (s *logStore) read(wanted func(int) bool, visit visitFunc) (err error) {
	l, err := streamlog.Open(s.dir, streamlog.Options{Retention: time.Hour})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	for i, id := range s.ids {
		if !wanted(i) {
			continue
		}
		if err := readStream(l, id, 0, func(event []byte) error { return visit(i, event) }); err != nil {
			return err
		}
	}
	return nil
}

// readStream reads what a stream holds now, from an event on.
func readStream(l *streamlog.Log, id streamlog.ID, from uint64, visit func(event []byte) error) error {
	st, err := l.Get(streamlog.Hash{}, id)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	defer st.Release()
	r, err := st.Reader(from)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	defer r.Close()
	for {
		events, err := r.Read(64 << 10)
		if err == io.EOF || errors.Is(err, streamlog.ErrWait) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read back: %w", err)
		}
		for _, e := range events {
			if err := visit(e.Data); err != nil {
				return err
			}
		}
	}
}

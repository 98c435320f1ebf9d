package streamlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"
)

func testOptions(t testing.TB) Options {
	return Options{Retention: time.Minute, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func openLog(t testing.TB, dir string, opts Options) *Log {
	t.Helper()
	l, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var alice = Hash{1}

func create(t testing.TB, l *Log) *Stream {
	t.Helper()
	s, err := l.Create(Header{Principal: alice, Provider: "openai", Dialect: "openai", Endpoint: "/v1/chat/completions", Model: "m", Streamed: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// chunk is the data of event i, of a length that varies.
func chunk(i int) []byte {
	return fmt.Appendf(nil, "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{\"content\":\"word %d%s\"}}]}\n\n", i, bytes.Repeat([]byte("."), i%40))
}

func appendEvents(t testing.TB, s *Stream, from, to int) []byte {
	t.Helper()
	var all []byte
	for i := from; i < to; i++ {
		if err := s.Append([]Event{{Data: chunk(i), Text: true}}); err != nil {
			t.Fatal(err)
		}
		all = append(all, chunk(i)...)
	}
	return all
}

// readAll reads until the end or until nothing is left, and checks indexes and
// offsets.
func readAll(t testing.TB, s *Stream, from uint64) ([]byte, error) {
	t.Helper()
	r, err := s.Reader(from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []byte
	offset, index := r.Offset(), r.Index()
	if index != from {
		t.Fatalf("reader from %d begins at %d", from, index)
	}
	for {
		events, err := r.Read(10 << 10)
		if err != nil {
			return all, err
		}
		for _, e := range events {
			if e.Index != index || e.Offset != offset {
				t.Fatalf("event %d at %d, want %d at %d", e.Index, e.Offset, index, offset)
			}
			if !e.More {
				index++
			}
			offset += uint64(len(e.Data))
			all = append(all, e.Data...)
		}
	}
}

func TestReadWhatWasAppended(t *testing.T) {
	for _, sync := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync=%v", sync), func(t *testing.T) {
			opts := testOptions(t)
			opts.SyncWrites = sync
			dir := t.TempDir()
			l := openLog(t, dir, opts)
			s := create(t, l)
			want := appendEvents(t, s, 0, 500)
			if got, err := readAll(t, s, 0); err != ErrWait || !bytes.Equal(got, want) {
				t.Fatalf("while streaming: %d bytes, %v; want %d", len(got), err, len(want))
			}
			if err := s.Append([]Event{{Data: []byte("fin\n\n"), Terminal: true}}); err != nil {
				t.Fatal(err)
			}
			want = append(want, "fin\n\n"...)
			if _, err := s.Finish(End{State: Completed}); err != nil {
				t.Fatal(err)
			}
			id := s.Header().ID
			s.Release()
			check := func(l *Log, when string) {
				t.Helper()
				s, err := l.Get(alice, id)
				if err != nil {
					t.Fatalf("%s: %v", when, err)
				}
				defer s.Release()
				for _, from := range []int{0, 1, 63, 64, 65, 128, 499, 500} {
					skip := 0
					for i := range from {
						skip += len(chunk(i))
					}
					if got, err := readAll(t, s, uint64(from)); err != io.EOF || !bytes.Equal(got, want[skip:]) {
						t.Fatalf("%s, from %d: %d bytes, %v; want %d", when, from, len(got), err, len(want)-skip)
					}
				}
				if _, err := s.Reader(502); !errors.Is(err, ErrBeyond) {
					t.Errorf("%s: reader beyond the end: %v", when, err)
				}
				i := s.Info()
				if i.State != Completed || i.Events != 501 || i.Bytes != uint64(len(want)) || !i.Terminal || i.First.IsZero() {
					t.Errorf("%s: info %+v", when, i)
				}
			}
			check(l, "same process")
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = openLog(t, dir, opts)
			defer l.Close()
			if r := l.Recovered(); len(r) != 0 {
				t.Errorf("%d streams recovered after a clean close", len(r))
			}
			check(l, "after reopening")
		})
	}
}

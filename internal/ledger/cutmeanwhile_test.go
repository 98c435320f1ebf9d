package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// Whoever reads while months are summarised reads all of it as it was when he began: half a
// table would look like a whole one.
func TestReadWhileSummarised(t *testing.T) {
	for name, read := range map[string]func(l *Ledger, each func()) error{
		"attempts": func(l *Ledger, each func()) error {
			return l.Attempts(t.Context(), 0, func(Row) error { each(); return nil })
		},
		"unexplained": func(l *Ledger, each func()) error {
			return l.Unexplained(t.Context(), func(Unexplained) error { each(); return nil })
		},
		"misses": func(l *Ledger, each func()) error {
			return l.Misses(t.Context(), func(Miss) error { each(); return nil })
		},
		"between": func(l *Ledger, each func()) error {
			return l.Between(t.Context(), month(1), month(7), func(Row) error { each(); return nil })
		},
		"extracts": func(l *Ledger, each func()) error {
			_, err := l.Extracts(t.Context(), month(1), time.Time{}, func(*Row) error { each(); return nil })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, t.TempDir())
			year(t, l)
			want := 0
			if err := read(l, func() { want++ }); err != nil {
				t.Fatal(err)
			}
			got := 0
			if err := read(l, func() {
				if got++; got > 1 {
					return
				}
				if done, err := l.Summarise(t.Context(), month(7)); err != nil || done.Attempts != 18 {
					t.Errorf("%+v, %v", done, err)
				}
			}); err != nil || got != want {
				t.Errorf("%d of %d were read: %v", got, want, err)
			}
			got = 0
			if err := read(l, func() { got++ }); err != nil || got != 0 {
				t.Errorf("%d are there after all: %v", got, err)
			}
		})
	}
}

// hooked calls a function when somebody asks whether it is over.
type hooked struct {
	context.Context
	asked func()
}

func (h hooked) Err() error {
	h.asked()
	return h.Context.Err()
}

// What is posted for closed months while they are summarised is in the books, or refused; they
// are whole either way, and retention goes on.
func TestPostWhileSummarised(t *testing.T) {
	revise := func(l *Ledger) error {
		p := revised(3, 1)
		p.Attempt = Attempt{Stream: stream(3), Number: 1}
		_, err := l.Post(p)
		return err
	}
	compare := func(l *Ledger) error {
		_, err := l.PostUnexplained(Unexplained{Provider: "openai", Day: "2025-01-01", Amount: 9})
		return err
	}
	for _, c := range []struct {
		name    string
		post    func(l *Ledger) error
		before  int  // the month
		after   bool // the cut, while what precedes it waits to be removed
		refused error
	}{
		{"a revision meanwhile", revise, 4, false, nil},
		{"a bill meanwhile", compare, 7, false, nil},
		{"a revision of what waits to be removed", revise, 4, true, ErrSummarised},
		{"a bill of what waits to be removed", compare, 7, true, ErrSummarised},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := open(t, t.TempDir())
			year(t, l)
			done := false
			ctx := hooked{t.Context(), func() {
				if !done && (!c.after || l.cutAt.Load() > 0) {
					done = true
					if err := c.post(l); !errors.Is(err, c.refused) {
						t.Errorf("posted: %v, want %v", err, c.refused)
					}
				}
			}}
			if _, err := l.Summarise(ctx, month(c.before)); err != nil || !done {
				t.Fatal(err, done)
			}
			verify(t, l)
			balances, totals := state(l)
			if _, err := l.Summarise(t.Context(), month(7)); err != nil {
				t.Fatal(err)
			}
			verify(t, l)
			if b, tt := state(l); !slices.Equal(b, balances) || !slices.Equal(tt, totals) {
				t.Errorf("%v, %v; were %v, %v", b, tt, balances, totals)
			}
			if n, _ := count(t, l); n != 0 {
				t.Errorf("%d attempts are there for ever", n)
			}
		})
	}
}

// An incident that is changed while its last change is removed is as it was changed.
func TestIncidentWhileSummarised(t *testing.T) {
	l := open(t, t.TempDir())
	var all []Incident
	for n := range 40 {
		i, err := l.OpenIncident(Incident{Name: fmt.Sprint("deploy ", n), Start: month(1)})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, i)
	}
	year(t, l)
	var wg sync.WaitGroup
	began := make(chan struct{})
	ctx := hooked{t.Context(), sync.OnceFunc(func() { close(began) })}
	wg.Go(func() {
		<-began
		for n := range all {
			all[n].End = month(2)
			if posted, err := l.ChangeIncident(all[n]); err != nil || !posted {
				t.Errorf("incident %d: %v, %v", all[n].Number, posted, err)
			}
		}
	})
	if _, err := l.Summarise(ctx, month(7)); err != nil {
		t.Error(err)
	}
	wg.Wait()
	verify(t, l)
	for _, i := range all {
		if got, err := l.Incident(i.Number); err != nil || !got.End.Equal(month(2)) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

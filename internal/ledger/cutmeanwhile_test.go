package ledger

import (
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

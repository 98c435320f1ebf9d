package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/recoup-gateway/recoup/internal/token"
)

// estimated is an example of which not all is known, and that broke off.
func estimated(n int) Posting {
	p := example(n)
	p.Bill.InputBasis, p.Bill.OutputBasis, p.Bill.Low, p.Bill.High = token.Bounded, token.Counted, 900, 4096
	p.Bill.Bounds = &Bounds{Input: Interval{0, 8000, 0, 40_000_000_000}, Output: Interval{900, 4096, 27_000_000_000, 122_880_000_000}}
	p.Broken = []Break{{p.Attempt.At.Add(3 * time.Second), BrokenByClient}, {p.Attempt.At.Add(4 * time.Second), Upstream}}
	p.Attempt.Tags = map[string]string{"team": "search", "run": "a\x00b|c", "": "nameless"}
	return p
}

// booksOfAllSorts has attempts with and without outcomes, revised and not.
func booksOfAllSorts(t *testing.T) (*Ledger, string) {
	dir := t.TempDir()
	l := open(t, dir)
	post(t, l, example(1))
	post(t, l, estimated(2))
	pending := estimated(3)
	pending.Outcomes = nil
	post(t, l, pending)
	late := estimated(4)
	late.Outcomes = nil
	post(t, l, late)
	late = estimated(4)
	late.Bill, late.Broken = nil, nil // what the bill had stands
	post(t, l, late)
	post(t, l, example(5))
	post(t, l, revised(5, 1))
	post(t, l, resumed(6))
	return l, dir
}

// What an extract says is what the entries say, but for what it leaves out.
func TestExtracts(t *testing.T) {
	l, dir := booksOfAllSorts(t)
	defer func() { shut(t, l) }()
	n := 0
	head, err := l.Extracts(t.Context(), time.Time{}, time.Time{}, func(r *Row) error {
		n++
		want, err := l.Get(r.Stream, r.Number)
		if err != nil {
			return err
		}
		want.Seq, want.Earlier, want.Current.Evidence = 0, nil, nil
		want.AskedModel, want.RequestID, want.ResponseID, want.Endpoint, want.Streamed, want.ServiceTier = "", "", "", "", false, ""
		want.Current.Bill.ProviderCost = ""
		if o := want.Current.Outcomes; o != nil {
			o.Breaks, o.Labels = nil, nil
		}
		got := *r
		if len(got.Current.Broken) == 0 {
			got.Current.Broken = nil
		}
		if o := got.Current.Outcomes; o != nil && len(o.Overhead) == 0 {
			o.Overhead = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("extract of %s\n%+v\n%+v, entries\n%+v\n%+v", r.ID(), got, got.Current.Outcomes, want, want.Current.Outcomes)
		}
		return nil
	})
	if err != nil || n != 6 || head != l.Head() {
		t.Errorf("%d rows, head %v, %v", n, head, err)
	}
	verify(t, l)
	first, last, err := l.Accepted()
	if err != nil || !first.Equal(example(1).Attempt.At) || !last.Equal(example(6).Attempt.At) {
		t.Errorf("accepted from %v to %v, %v", first, last, err)
	}
	n = 0
	if _, err := l.Extracts(t.Context(), example(2).Attempt.At, example(4).Attempt.At, func(*Row) error { n++; return nil }); n != 2 || err != nil {
		t.Errorf("%d rows in the window, %v", n, err)
	}
	stop := errors.New("stop")
	if _, err := l.Extracts(t.Context(), time.Time{}, time.Time{}, func(*Row) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped by %v", err)
	}
	if _, err := OpenReadOnly(dir, Options{Logger: quiet}); !errors.Is(err, ErrLocked) {
		t.Errorf("open: %v", err)
	}
}

// Attempts of a program that knew of no extracts are read whole.
func TestNoExtract(t *testing.T) {
	l, dir := booksOfAllSorts(t)
	shut(t, l)
	blank := estimated(2).Attempt
	edit(t, dir, func(txn *badger.Txn) error { return txn.Set(acceptedKey(millis(blank.At), blank.ID()), nil) })
	l = open(t, dir)
	defer func() { shut(t, l) }()
	whole := 0
	_, err := l.Extracts(t.Context(), time.Time{}, time.Time{}, func(r *Row) error {
		if r.Current.Evidence != nil {
			want, err := l.Get(r.Stream, r.Number)
			if err != nil || !reflect.DeepEqual(*r, want) || r.ID() != blank.ID() {
				t.Errorf("row %+v, want %+v, %v", r, want, err)
			}
			whole++
		}
		return nil
	})
	if err != nil || whole != 1 {
		t.Errorf("%d are whole, %v", whole, err)
	}
	verify(t, l)
}

// Books of a program that knew of no extracts are verified, backed up, restored and
// summarised as others are, and their attempts stay whole: what a report has to find in
// their evidence is nowhere else.
func TestBooksWithoutExtracts(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	year(t, l)
	shut(t, l)
	edit(t, dir, func(txn *badger.Txn) error {
		return errors.Join(eachIn(txn, scan{prefix: []byte{prefixAccepted}}, func(key, _ []byte) error { return txn.Set(bytes.Clone(key), nil) }))
	})
	if found := findings(t, dir); len(found) > 0 {
		t.Error(found)
	}
	l = open(t, dir)
	defer func() { shut(t, l) }()
	p := inMonth(19, 7)
	p.Outcomes = nil
	post(t, l, p)
	p = revised(17, 1) // from now on it has one
	p.Attempt = Attempt{Stream: stream(17), Number: 1}
	post(t, l, p)
	check := func(when string, l *Ledger, whole, extracts int) {
		t.Helper()
		verify(t, l)
		a, b := 0, 0
		_, err := l.Extracts(t.Context(), time.Time{}, time.Time{}, func(r *Row) error {
			if b++; r.Current.Evidence != nil {
				a, b = a+1, b-1
				want, err := l.Get(r.Stream, r.Number)
				if err != nil || !reflect.DeepEqual(*r, want) {
					t.Errorf("%s: row %+v, want %+v, %v", when, r, want, err)
				}
			}
			return nil
		})
		if err != nil || a != whole || b != extracts {
			t.Errorf("%s: %d are whole, %d have extracts, %v", when, a, b, err)
		}
	}
	copied := func(when string, whole, extracts int) {
		t.Helper()
		check(when, l, whole, extracts)
		b, _ := backup(t, l)
		again := restored(t, b)
		check(when+", restored", again, whole, extracts)
	}
	copied("opened", 17, 2)
	balances, totals := state(l)
	if done, err := l.Summarise(t.Context(), month(3)); err != nil || done.Attempts != 6 {
		t.Errorf("%+v, %v", done, err)
	}
	if b, c := state(l); !reflect.DeepEqual(b, balances) || !reflect.DeepEqual(c, totals) {
		t.Errorf("totals %v, %v; were %v, %v", b, c, balances, totals)
	}
	copied("summarised", 11, 2)
}

// What is altered in an extract, verify finds.
func TestAlteredExtract(t *testing.T) {
	l, dir := booksOfAllSorts(t)
	shut(t, l)
	a := estimated(2).Attempt
	var good []byte
	edit(t, dir, func(txn *badger.Txn) (err error) {
		good, err = get(txn, acceptedKey(millis(a.At), a.ID()))
		return err
	})
	for i := range good {
		if i%17 > 0 {
			continue
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		edit(t, dir, func(txn *badger.Txn) error { return txn.Set(acceptedKey(millis(a.At), a.ID()), bad) })
		if found := findings(t, dir); len(found) != 1 {
			t.Errorf("byte %d: %q", i, found)
		}
		l := open(t, dir)
		// Whatever it is, reading it is no panic.
		_, err := l.Extracts(t.Context(), time.Time{}, time.Time{}, func(*Row) error { return nil })
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: %v", i, err)
		}
		shut(t, l)
	}
}

// A snapshot of books that are being written is whole, and a chain.
func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range 300 {
			if _, err := l.Post(example(n + 1)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	snapshots := 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		before := l.Head()
		s, _, err := OpenCopy(t.Context(), dir, t.TempDir(), Options{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := s.Verify(t.Context(), func(d Damage) { t.Error(d) }); err != nil || r.Head.Seq < before.Seq {
			t.Errorf("snapshot at entry %d, begun at %d: %v", r.Head.Seq, before.Seq, err)
		}
		if _, err := s.Post(example(9999)); !errors.Is(err, ErrReadOnly) {
			t.Errorf("post: %v", err)
		}
		shut(t, s)
		snapshots++
	}
	shut(t, l)
	t.Log(snapshots, "snapshots")
}

func TestIncidents(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	at := time.UnixMilli(1_763_880_000_000).UTC()
	one, err := l.OpenIncident(Incident{Name: "deploy 4711", Labels: map[string]string{"version": "7"}, Start: at})
	if err != nil || one.Number != 1 {
		t.Fatal(one, err)
	}
	two, err := l.OpenIncident(Incident{Name: "a failure", Found: true, Kind: KindProvider, Provider: "openai", Start: at, End: at.Add(time.Minute)})
	if err != nil || two.Number != 2 {
		t.Fatal(two, err)
	}
	if posted, err := l.ChangeIncident(one); posted || err != nil {
		t.Errorf("no change: %v, %v", posted, err)
	}
	one.End = at.Add(time.Hour)
	if posted, err := l.ChangeIncident(one); !posted || err != nil {
		t.Errorf("closed: %v, %v", posted, err)
	}
	bad := one
	bad.End = at
	for _, i := range []Incident{{Start: at}, {Name: "x"}, bad, {Name: "x", Start: at, Final: at}} {
		if _, err := l.OpenIncident(i); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", i, err)
		}
	}
	one.Final, one.Figures = at.Add(2*time.Hour), json.RawMessage(`{"cost":"1"}`)
	if posted, err := l.ChangeIncident(one); !posted || err != nil {
		t.Errorf("final: %v, %v", posted, err)
	}
	one.Name = "another"
	if _, err := l.ChangeIncident(one); !errors.Is(err, ErrFinal) {
		t.Errorf("after that: %v", err)
	}
	if _, err := l.Incident(3); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
	shut(t, l)
	l = open(t, dir)
	got, err := l.Incident(1)
	if err != nil || got.Name != "deploy 4711" || !got.End.Equal(at.Add(time.Hour)) || string(got.Figures) != `{"cost":"1"}` {
		t.Errorf("%+v, %v", got, err)
	}
	verify(t, l)
	shut(t, l)
	edit(t, dir, remove(incidentKey(2)))
	if found := findings(t, dir); len(found) != 1 {
		t.Errorf("a lost incident: %q", found)
	}
}

// An incident that was found selects what its kind is about; one that was declared all.
func TestSelects(t *testing.T) {
	at := time.UnixMilli(1_763_880_000_000).UTC()
	for _, c := range []struct {
		i     Incident
		cause string
		after time.Duration
		want  bool
	}{
		{Incident{}, BrokenByClient, 0, true},
		{Incident{}, Upstream, time.Minute - 1, true},
		{Incident{}, BrokenByClient, time.Minute, false},
		{Incident{}, BrokenByClient, -1, false},
		{Incident{Found: true, Kind: KindDeploy}, BrokenByClient, 0, true},
		{Incident{Found: true, Kind: KindDeploy}, Upstream, 0, false},
		{Incident{Found: true, Kind: KindProvider, Provider: "openai"}, Upstream, 0, true},
		{Incident{Found: true, Kind: KindProvider, Provider: "groq"}, Upstream, 0, false},
		{Incident{Found: true, Kind: KindGateway}, BrokenByGateway, 0, true},
		{Incident{Found: true, Kind: KindGateway}, BrokenByClient, 0, false},
		{Incident{Found: true, Kind: KindNetwork}, BrokenByClient, 0, true},
		{Incident{Kind: KindDeploy}, Upstream, 0, true},
	} {
		c.i.Start, c.i.End = at, at.Add(time.Minute)
		if got := c.i.Selects("openai", Break{at.Add(c.after), c.cause}); got != c.want {
			t.Errorf("%+v selects %s: %v", c.i, c.cause, got)
		}
	}
}

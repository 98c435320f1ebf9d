package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

func month(m int) time.Time { return time.Date(2025, time.Month(m), 1, 0, 0, 0, 0, time.UTC) }

// inMonth is the n-th attempt, accepted in a month of 2025.
func inMonth(n, m int) Posting {
	p := example(n)
	if n%2 == 0 {
		p = resumed(n)
	}
	p.Attempt.At = month(m).Add(time.Duration(n) * time.Hour)
	p.Attempt.Ended = p.Attempt.At.Add(time.Minute)
	p.Attempt.Tags = map[string]string{"team": fmt.Sprint("t", n%3)}
	p.Outcomes.Labels = map[string]string{"team": fmt.Sprint("t", n%3)}
	if n%5 == 0 {
		p.Bill.OutputBasis = token.Counted
	}
	return p
}

// year posts three attempts in each of the months 1 to 6, and revises one of month 2.
func year(t *testing.T, l *Ledger) {
	t.Helper()
	for n := range 18 {
		post(t, l, inMonth(n+1, n/3+1))
		if n == 4 {
			p := revised(5, 1)
			p.Attempt = Attempt{Stream: stream(5), Number: 1}
			post(t, l, p)
		}
	}
	for m := 1; m <= 6; m++ {
		if _, err := l.PostMiss(Miss{Stream: stream(100 + m), Provider: "openai", Model: "gpt-5.5", Reason: "ended", At: month(m), Amount: 7}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.PostUnexplained(Unexplained{Provider: "openai", Day: month(m).Format(time.DateOnly), Amount: 5}); err != nil {
			t.Fatal(err)
		}
	}
}

// state is what must not change when attempts are summarised.
func state(l *Ledger) (balances, totals []string) {
	for _, b := range l.Balances() {
		balances = append(balances, fmt.Sprint(b))
	}
	tt := l.Totals()
	totals = append(totals, fmt.Sprint(sortedBy(tt.Output), sortedBy(tt.Input), sortedBy(tt.Cost), sortedBy(tt.Saved), sortedBy(tt.Overhead),
		sortedBy(tt.Missed), sortedBy(tt.Adjustments), sortedBy(tt.Unexplained), sortedBy(tt.Tagged)))
	slices.Sort(balances)
	return balances, totals
}

func sortedBy[T any](all []T) []T {
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return all
}

func count(t *testing.T, l *Ledger) (attempts int, first time.Time) {
	t.Helper()
	err := l.Attempts(t.Context(), 0, func(r Row) error {
		if attempts++; first.IsZero() {
			first = r.At
		}
		return nil
	})
	between := 0
	err2 := l.Between(t.Context(), time.UnixMilli(1), time.Now(), func(Row) error { between++; return nil })
	if err != nil || err2 != nil || between != attempts {
		t.Fatal(err, err2, between, attempts)
	}
	return attempts, first
}

// summed adds the summaries up, by account.
func summed(t *testing.T, l *Ledger) (attempts int64, by map[string]tally, months []string) {
	t.Helper()
	by = map[string]tally{}
	err := l.Summaries(t.Context(), func(s Summary) error {
		attempts += s.Attempts
		if !slices.Contains(months, s.Month) {
			months = append(months, s.Month)
		}
		for _, p := range s.Lines {
			key := balanceKey(s.Provider, s.Model, p.Account, p.Kind)
			by[key] = tally{by[key].count + p.Tokens, by[key].amount.Plus(p.Amount)}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return attempts, by, months
}

func TestSummarise(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	year(t, l)
	balances, totals := state(l)
	check := func(when string, attempts int, first int, summarised int64, months ...string) {
		t.Helper()
		b, c := state(l)
		if !slices.Equal(b, balances) || !slices.Equal(c, totals) {
			t.Errorf("%s: balances %v, were %v; totals %v, were %v", when, b, balances, c, totals)
		}
		verify(t, l)
		n, at := count(t, l)
		if n != attempts || monthOf(at) != monthOf(month(first)) {
			t.Errorf("%s: %d attempts from %v", when, n, at)
		}
		sum, _, of := summed(t, l)
		if sum != summarised || !slices.Equal(of, months) {
			t.Errorf("%s: %d attempts are summarised, of %v", when, sum, of)
		}
	}
	check("before", 18, 1, 0)
	if done, err := l.Summarise(t.Context(), month(1)); err != nil || done.Entries != 0 {
		t.Errorf("nothing is old: %+v, %v", done, err)
	}
	// Month 4 is under way: what it has stays.
	done, err := l.Summarise(t.Context(), month(4).Add(50*time.Hour))
	if err != nil || done.Attempts != 9 || !done.Before.Equal(month(4)) {
		t.Fatalf("%+v, %v", done, err)
	}
	check("once", 9, 4, 9, "2025-01", "2025-02", "2025-03")
	head := l.Head()
	if done, err := l.Summarise(t.Context(), month(4)); err != nil || done.Entries != 0 || l.Head() != head {
		t.Errorf("again: %+v, %v", done, err)
	}
	// Late postings for a closed month would be counted twice.
	if _, err := l.Post(inMonth(1, 1)); !errors.Is(err, ErrSummarised) {
		t.Errorf("post: %v", err)
	}
	if _, err := l.PostMiss(Miss{Stream: stream(200), Provider: "openai", Model: "gpt-5.5", Reason: "ended", At: month(1), Amount: 7}); !errors.Is(err, ErrSummarised) {
		t.Errorf("miss: %v", err)
	}
	shut(t, l)
	l = open(t, dir)
	check("reopened", 9, 4, 9, "2025-01", "2025-02", "2025-03")
	if done, err := l.Summarise(t.Context(), month(6)); err != nil || done.Attempts != 6 {
		t.Fatalf("%+v, %v", done, err)
	}
	check("twice", 3, 6, 15, "2025-01", "2025-02", "2025-03", "2025-04", "2025-05")
	shut(t, l)
	if found := findings(t, dir); len(found) > 0 {
		t.Error(found)
	}
	if found, r, _ := copied(t, dir); len(found) > 0 || r.Summarised != 15 || r.Attempts != 3 {
		t.Errorf("%q, %+v", found, r)
	}
}

// A bill without outcomes, and a late revision, hold back what follows.
func TestSummariseWaits(t *testing.T) {
	l := open(t, t.TempDir())
	post(t, l, inMonth(1, 1))
	pending := inMonth(2, 1)
	outcomes := pending.Outcomes
	pending.Outcomes = nil
	post(t, l, pending)
	post(t, l, inMonth(3, 1))
	if done, err := l.Summarise(t.Context(), month(5)); err != nil || done.Attempts != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	pending.Outcomes = outcomes
	post(t, l, pending)
	late := inMonth(4, 6) // in the way, between the first entry of 3 and its revision
	post(t, l, late)
	p := revised(3, 1)
	p.Attempt = Attempt{Stream: stream(3), Number: 1}
	post(t, l, p)
	if done, err := l.Summarise(t.Context(), month(5)); err != nil || done.Attempts != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	verify(t, l)
	if done, err := l.Summarise(t.Context(), month(7)); err != nil || done.Attempts != 3 {
		t.Errorf("%+v, %v", done, err)
	}
	verify(t, l)
	if n, by, _ := summed(t, l); n != 4 || by[balanceKey("openai", "gpt-5.5", accountPending, token.Output)] != (tally{}) {
		t.Errorf("%d attempts, %v", n, by)
	}
}

// The process may die after the cut, before all that precedes it is gone.
func TestSummariseIsGoneOnWith(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	year(t, l)
	balances, totals := state(l)
	c := &cutting{ctx: t.Context(), l: l, before: month(4).UnixMilli(), rows: newRows(), totals: sums{}}
	if err := errors.Join(l.db.View(c.prepare), c.post()); err != nil {
		t.Fatal(err)
	}
	killed := image(t, dir)
	if err := l.readCut(); err != nil {
		t.Fatal(err)
	}
	verify(t, l) // while it waits to be removed
	if n, _ := count(t, l); n != 9 {
		t.Errorf("%d attempts", n)
	}
	if found, r, _ := copied(t, killed); len(found) > 0 || r.Summarised != 9 || r.Attempts != 9 {
		t.Errorf("%q, %+v", found, r)
	}
	again := open(t, killed)
	verify(t, again)
	b, tt := state(again)
	if n, _ := count(t, again); n != 9 || !slices.Equal(b, balances) || !slices.Equal(tt, totals) {
		t.Errorf("%d attempts, %v, %v", n, b, tt)
	}
	if _, err := again.Get(stream(1), 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("a summarised attempt: %v", err)
	}
}

// What was summarised can't be changed unseen either.
func TestDamagedSummary(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	year(t, l)
	if _, err := l.Summarise(t.Context(), month(4)); err != nil {
		t.Fatal(err)
	}
	var b base
	if err := l.db.View(func(txn *badger.Txn) (err error) { b, err = readBase(txn); return err }); err != nil {
		t.Fatal(err)
	}
	shut(t, l)
	for name, damage := range map[string]func(*badger.Txn) error{
		"edited sum":        change(entryKey(b.body.Of[0]), `"n":`, `"n":1`),
		"edited cut":        change(entryKey(b.cut), `"s":`, `"s":1`),
		"deleted summary":   remove(entryKey(b.body.Of[0])),
		"deleted cut":       remove(metaCut),
		"another cut":       func(txn *badger.Txn) error { return txn.Set(metaCut, encodeSeq(b.cut-1)) },
		"removed too much":  func(txn *badger.Txn) error { return txn.Set(metaRemoved, encodeSeq(b.Seq+1)) },
		"first entry after": remove(entryKey(b.Seq + 1)),
		"sum, and its hash": rehash(b.body.Of[0], `"n":`, `"n":1`),
	} {
		bad := image(t, dir)
		edit(t, bad, damage)
		if found, _, _ := copied(t, bad); len(found) == 0 {
			t.Errorf("%s: nothing is found", name)
		}
	}
}

func TestRowsBoundTags(t *testing.T) {
	r := newRows()
	for n := range maxTagSets + 100 {
		p := inMonth(1, 1)
		row := &Row{Attempt: p.Attempt, Current: Revision{Bill: *p.Bill, Outcomes: p.Outcomes}}
		row.Tags = map[string]string{"user": fmt.Sprint(n)}
		r.attempt(row)
	}
	all := r.sorted()
	rest := all[slices.IndexFunc(all, func(s Summary) bool { return s.Rest })]
	if len(all) != maxTagSets+1 || rest.Attempts != 100 {
		t.Errorf("%d rows, %d attempts in the rest", len(all), rest.Attempts)
	}
	by := map[string]pricing.Sum{}
	for _, s := range all {
		for _, p := range s.Lines {
			by[p.Account] = by[p.Account].Plus(p.Amount)
		}
	}
	if _, ok := by[accountPending]; ok || len(slices.Collect(maps.Keys(by))) < 4 {
		t.Errorf("%v", by)
	}
}

// Incidents stay when the months that they were in are summarised, and go on; so do they
// and the extracts of attempts through a backup.
func TestIncidentsOutliveTheirMonths(t *testing.T) {
	l := open(t, t.TempDir())
	over := Incident{Name: "deploy 1", Labels: map[string]string{"version": "7"}, Start: month(1), End: month(1).Add(time.Hour)}
	over, err := l.OpenIncident(over)
	if err != nil {
		t.Fatal(err)
	}
	over.Final, over.Figures = month(2), []byte(`{"paid":"$1"}`)
	if _, err := l.ChangeIncident(over); err != nil {
		t.Fatal(err)
	}
	lasting, err := l.OpenIncident(Incident{Name: "a long one", Start: month(2)})
	if err != nil {
		t.Fatal(err)
	}
	year(t, l)
	for _, m := range []int{4, 7} {
		before := incidents(t, l)
		if _, err := l.Summarise(t.Context(), month(m)); err != nil {
			t.Fatal(err)
		}
		verify(t, l)
		b, _ := backup(t, l)
		for what, l := range map[string]*Ledger{"the books": l, "a backup": restored(t, b)} {
			if got := incidents(t, l); !slices.Equal(got, before) || len(got) != 2 {
				t.Errorf("%s, month %d: %q, want %q", what, m, got, before)
			}
			if _, err := l.ChangeIncident(Incident{Number: over.Number, Name: "other", Start: month(1)}); !errors.Is(err, ErrFinal) {
				t.Errorf("%s, month %d: %v", what, m, err)
			}
			n := 0
			_, err := l.Extracts(t.Context(), time.Time{}, time.Time{}, func(r *Row) error {
				n++
				return nil
			})
			if err != nil || m == 4 && n != 9 || m == 7 && n != 0 {
				t.Errorf("%s, month %d: %d extracts, %v", what, m, n, err)
			}
		}
		lasting.Labels = map[string]string{"seen": fmt.Sprint(m)}
		if posted, err := l.ChangeIncident(lasting); err != nil || !posted {
			t.Errorf("month %d: %v, %v", m, posted, err)
		}
		verify(t, l)
	}
	if next, err := l.OpenIncident(Incident{Name: "new", Start: month(8)}); err != nil || next.Number != 3 {
		t.Errorf("%+v, %v", next, err)
	}
}

func incidents(t *testing.T, l *Ledger) (all []string) {
	t.Helper()
	err := l.Incidents(t.Context(), func(i Incident) error {
		all = append(all, fmt.Sprint(i))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

package proof

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/incident"
	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/books/histories"
	"github.com/recoup-gateway/recoup/internal/export"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/reprice"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// life is books with all that can happen to them.
type life struct {
	*testing.T
	r      *rand.Rand
	dir    string
	ledger *ledger.Ledger
	book   *pricing.Book
	posted int
	final  []byte // the figures of the incident
}

var (
	spring = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	summer = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	autumn = time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
)

// post posts a random attempt of a month from spring on.
func (l *life) post(n int, at time.Time) {
	l.Helper()
	choices := make([]byte, 400)
	for i := range choices {
		choices[i] = byte(l.r.Uint32())
	}
	d := histories.Dice(choices)
	h := d.History()
	h.Hidden = min(h.Hidden, h.Output) // as the settling sees to
	model := []string{"gpt-5.5", "gpt-5-mini"}[l.r.IntN(2)]
	q := pricing.Query{Provider: "openai", Model: model, At: at}
	if l.r.IntN(2) == 0 {
		q.InputTokens = h.Input[token.Input] + h.Input[token.CacheRead] + h.Input[token.CacheWrite5m]
		h.Rates, _ = pricing.Embedded().Rates(q)
	}
	first := h.Steps[0].At
	for i := range h.Steps {
		h.Steps[i].At = at.Add(h.Steps[i].At.Sub(first))
	}
	if at.Before(autumn) {
		h.Steps = append(h.Steps, books.Step{Do: books.Retention, At: h.Steps[len(h.Steps)-1].At})
	}
	e := settle.Evidence{History: h, Bases: settle.Bases{Input: token.Reported, Output: token.Reported}, Output: token.Exactly(h.Output)}
	if l.r.IntN(3) == 0 {
		e.Bases.Output, e.Output = token.Counted, token.Range{Low: h.Output / 2, Point: h.Output, High: h.Output + 99}
	}
	total := int64(0)
	for kind, n := range h.Input {
		if !kind.IsTool() {
			total += n
		}
	}
	e.Input = token.Exactly(total)
	b, err := books.Keep(h)
	must(l.T, err)
	if b.Unpriced {
		e.Unpriced = string(pricing.NoRate)
	}
	p, err := e.Posting(b)
	must(l.T, err)
	p.Attempt = ledger.Attempt{
		Stream: ledger.ID{1, 14: byte(n >> 8), 15: byte(n)}, Number: 1, Provider: "openai", Model: model, AskedModel: model,
		Tags: map[string]string{"team": []string{"search", "chat"}[n%2]}, At: at, Ended: at.Add(time.Minute),
	}
	_, err = l.ledger.Post(p)
	must(l.T, err)
}

// fill posts attempts, one every other day from a time on.
func (l *life) fill(attempts int, from time.Time) {
	l.Helper()
	for n := range attempts {
		l.posted++
		l.post(l.posted, from.AddDate(0, 0, n*2).Add(time.Duration(l.r.IntN(3_600_000))*time.Millisecond))
	}
}

func (l *life) summarise(before time.Time, attempts int64) {
	l.Helper()
	done, err := l.ledger.Summarise(l.Context(), before)
	must(l.T, err)
	if done.Attempts != attempts {
		l.Errorf("summarised %+v, not %d attempts", done, attempts)
	}
}

// audited is a report of all there is, or of an incident.
func (l *life) audited(q report.Query) *report.Report {
	l.Helper()
	r, err := report.Make(l.Context(), report.Sources{Ledger: l.ledger, Prices: l.book}, q)
	must(l.T, err)
	return r
}

// exported is what an export's rows come to.
func (l *life) exported() (sum pricing.Sum) {
	l.Helper()
	var b bytes.Buffer
	must(l.T, export.Write(l.Context(), l.ledger, export.Request{Format: export.JSONL}, &b))
	for line := range strings.Lines(b.String()) {
		var row struct{ BilledCost *pricing.Sum }
		must(l.T, json.Unmarshal([]byte(line), &row))
		if row.BilledCost != nil {
			sum = sum.Plus(*row.BilledCost)
		}
	}
	return sum
}

// sound holds all readings of the books against each other.
func (l *life) sound(step string) {
	l.Helper()
	p, err := Verify(l.Context(), VerifyOptions{Dir: l.dir, Scratch: l.TempDir(), Book: l.book})
	must(l.T, err)
	for _, d := range p.Damaged {
		l.Errorf("%s: %s", step, d.Text)
	}
	whole := l.audited(report.Query{})
	f := whole.Total
	if sum := f.Delivered.OutputUSD.Plus(f.Unusable.OutputUSD).Plus(f.NeverReceived.OutputUSD).Plus(f.Open.OutputUSD).Plus(f.Input.USD); sum != f.Paid.Point {
		l.Errorf("%s: paid %s, and its parts are %s", step, f.Paid.Point, sum)
	}
	if sum := l.exported(); sum != f.Paid.Point {
		l.Errorf("%s: paid %s, exported %s", step, f.Paid.Point, sum)
	}
	missing, err := export.Missing(l.Context(), l.ledger, export.Request{})
	must(l.T, err)
	if s := whole.Summarised; s == nil && missing != "" || s != nil && !strings.Contains(missing, fmt.Sprintf("%d attempts of 2026-03, ", s.Attempts)) ||
		s != nil && !strings.HasSuffix(missing, " "+s.Paid.String()+" USD") {
		l.Errorf("%s: missing %q, summarised %+v", step, missing, s)
	}
	owed := pricing.Sum{} // corrections, and what was summarised, included
	for _, b := range l.ledger.Balances() {
		if b.Account == "provider" || b.Account == "price_variance" {
			owed = owed.Minus(b.Amount)
		}
	}
	paid := f.Paid.Point
	if s := whole.Summarised; s != nil {
		paid = paid.Plus(s.Paid)
	}
	if owed != paid {
		l.Errorf("%s: the accounts owe %s, the audit says %s", step, owed, paid)
	}
	if l.final != nil {
		i, err := l.ledger.Incident(1)
		must(l.T, err)
		r := l.audited(report.Query{Incident: &i})
		if got := marshal(l.T, r.Total); !bytes.Equal(got, l.final) || r.Incident.State != report.FinalState {
			l.Errorf("%s: the incident is %s\n%s, and was\n%s", step, r.Incident.State, got, l.final)
		}
		if r.Later != nil && whole.Summarised != nil {
			l.Errorf("%s: what is gone is taken for a correction: %s", step, marshal(l.T, r.Later))
		}
		for _, by := range []report.Dimension{report.ByCause, report.ByModel, report.ByHour, report.Tag("team"), report.ByProvider} {
			r := l.audited(report.Query{Incident: &i, By: []report.Dimension{by}})
			want := r.Total
			if r.GroupsTotal != nil && by == report.ByProvider { // which was not stored
				want = *r.GroupsTotal
			}
			sum := pricing.Sum{}
			for _, g := range r.Groups {
				sum = sum.Plus(g.Paid.Point)
			}
			if sum != want.Paid.Point {
				l.Errorf("%s: by %s the incident's groups come to %s, not to %s", step, by, sum, want.Paid.Point)
			}
		}
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	must(t, err)
	return data
}

// reprice lays random prices over the book, and posts what they change of a time.
func (l *life) reprice(since time.Time) {
	l.Helper()
	text := "prices:\n"
	for _, model := range []string{"gpt-5.5", "gpt-5-mini"} {
		text += fmt.Sprintf("- {provider: openai, model: %s, rates: {input: %d.%06d, cache_read: 0.%d, output: %d}, tools: {search: 0.0%d}}\n",
			model, l.r.IntN(9), l.r.IntN(1e6), l.r.IntN(9), l.r.IntN(60), l.r.IntN(9))
	}
	o, err := pricing.ParseOverlay("later.yaml", []byte(text))
	must(l.T, err)
	l.book, err = pricing.Embedded().Over(o)
	must(l.T, err)
	done, err := reprice.Run(l.Context(), l.ledger, l.book, reprice.Request{Since: since, Post: true})
	must(l.T, err)
	if done.Posted == 0 {
		l.Errorf("nothing was repriced: %+v", done)
	}
}

// move takes the books to another directory, by a backup.
func (l *life) move() {
	l.Helper()
	before := marshal(l.T, l.audited(report.Query{}))
	var b bytes.Buffer
	_, err := l.ledger.Backup(l.Context(), &b)
	must(l.T, err)
	dir := l.TempDir()
	_, err = ledger.Restore(l.Context(), &b, dir, ledger.Options{Logger: quiet})
	must(l.T, err)
	l.open(dir)
	if after := marshal(l.T, l.audited(report.Query{})); !bytes.Equal(before, after) {
		l.Errorf("restored, the audit is\n%s, and was\n%s", after, before)
	}
}

func (l *life) open(dir string) {
	l.Helper()
	if l.ledger != nil {
		must(l.T, l.ledger.Close())
	}
	var err error
	l.ledger, err = ledger.Open(dir, ledger.Options{Logger: quiet})
	must(l.T, err)
	l.dir = dir
}

// finish declares an incident over all of spring, and has it made final.
func (l *life) finish() {
	l.Helper()
	_, err := l.ledger.OpenIncident(ledger.Incident{Name: "deploy 4711", Start: spring, End: summer})
	must(l.T, err)
	w := incident.Start(incident.Options{
		Ledger: l.ledger, Prices: func() *pricing.Book { return l.book }, Logger: quiet, Rule: incident.DefaultRule(), Every: time.Hour,
		Unbooked: func() []incident.Unbooked { return nil },
	})
	defer w.Close()
	must(l.T, w.Look(l.Context(), time.Now()))
	i, err := l.ledger.Incident(1)
	must(l.T, err)
	if i.Final.IsZero() {
		l.Fatal("the incident is not final")
	}
	r := l.audited(report.Query{Incident: &i})
	if r.Total.Attempts == 0 || r.Total.Cost.Point.Sign() == 0 {
		l.Fatalf("nothing was broken: %+v", r.Total)
	}
	l.final = marshal(l.T, r.Total)
}

// TestTogether: whatever is done to the books, and in which order, each reading of
// them agrees with the others, and a final incident stays as it is.
func TestTogether(t *testing.T) {
	for seed := range uint64(1) {
		l := &life{T: t, r: rand.New(rand.NewPCG(seed, 11)), book: pricing.Embedded()}
		l.open(t.TempDir())
		l.fill(60, spring)
		l.sound("posted")
		l.finish()
		l.sound("final")
		l.reprice(spring)
		l.sound("repriced")
		l.move()
		l.sound("restored")
		l.fill(15, summer)
		l.reprice(summer)
		l.summarise(summer, 60)
		l.sound("summarised")
		l.move()
		l.sound("restored without what was summarised")
		l.fill(30, autumn)
		l.summarise(autumn, 15)
		l.sound("summarised again")
		l.reprice(spring)
		l.sound("repriced again")
		l.move()
		l.sound("restored again")
		if s := l.audited(report.Query{Since: spring.AddDate(0, 1, 0), Until: summer}).Summarised; s == nil || s.Months[0].Month != "2026-04" || len(s.Months) != 3 {
			t.Errorf("of april to june: %+v", s)
		}
		if r := l.audited(report.Query{Since: autumn}); r.Summarised != nil || r.Total.Attempts != 30 {
			t.Errorf("since autumn: %+v, %+v", r.Summarised, r.Total)
		}
		must(t, l.ledger.Close())
	}
}

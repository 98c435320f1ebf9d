package incident_test

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/recoup-gateway/recoup/internal/audit/incident"
	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/books/histories"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// site is a real ledger, and what looks at it.
type site struct {
	*testing.T
	ledger   *ledger.Ledger
	watch    *incident.Watch
	unbooked []incident.Unbooked
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{T: t}
	var err error
	if s.ledger, err = ledger.Open(t.TempDir(), ledger.Options{}); err != nil {
		t.Fatal(err)
	}
	s.watch = incident.Start(incident.Options{
		Ledger: s.ledger, Prices: pricing.Embedded, Logger: slog.New(slog.DiscardHandler), Rule: incident.DefaultRule(), Every: time.Hour,
		Unbooked: func() []incident.Unbooked { return s.unbooked },
	})
	t.Cleanup(func() {
		s.watch.Close()
		if err := s.ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// broke is an answer of 1,500 tokens that broke at 600, 4 s after it was asked for; its
// end is still to come, or not.
func broke(n int, settled bool) (settle.Evidence, ledger.Attempt) {
	steps := []books.Step{histories.Attach(1), histories.Recv(6), histories.Write(1, 6), histories.Leave(1), histories.Recv(10)}
	if settled {
		steps = append(steps, histories.Do(books.Retention))
	}
	h := histories.Stream(1500, steps...)
	at := noon.Add(time.Duration(n%50) * 10 * time.Millisecond)
	for i := range h.Steps {
		h.Steps[i].At = at.Add(time.Duration(i) * time.Second)
	}
	return settle.Evidence{
			History: h, Input: token.Exactly(2000), Output: token.Exactly(1500), Bases: settle.Bases{Input: token.Reported, Output: token.Reported},
		}, ledger.Attempt{
			Stream: ledger.ID{1, 15: byte(n)}, Number: 1, Provider: "openai", Model: "gpt-5.5", Principal: ledger.ID{byte(n)}, At: at, Ended: at.Add(5 * time.Second),
		}
}

func (s *site) post(n int, settled, first bool) {
	s.Helper()
	e, a := broke(n, settled)
	b, err := books.Keep(e.History)
	if err != nil {
		s.Fatal(err)
	}
	p, err := e.Posting(b)
	if err != nil {
		s.Fatal(err)
	}
	p.Attempt = a
	if !first {
		p.Bill = nil
	}
	if posted, err := s.ledger.Post(p); !posted || err != nil {
		s.Fatal(posted, err)
	}
}

func (s *site) look(at time.Time) {
	s.Helper()
	if err := s.watch.Look(s.Context(), at); err != nil {
		s.Fatal(err)
	}
}

func (s *site) incidents() (all []ledger.Incident) {
	s.Helper()
	err := s.ledger.Incidents(s.Context(), func(i ledger.Incident) error {
		all = append(all, i)
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return all
}

func (s *site) report(i ledger.Incident) *report.Report {
	s.Helper()
	r, err := report.Make(s.Context(), report.Sources{Ledger: s.ledger, Prices: pricing.Embedded()}, report.Query{Incident: &i})
	if err != nil {
		s.Fatal(err)
	}
	return r
}

const broken = 8

// An incident is found, follows what comes to light, is final when the last of its
// attempts is settled, and never changes after that, whatever bills say.
func TestLife(t *testing.T) {
	s := newSite(t)
	for n := range broken - 1 {
		s.post(n+1, false, true)
	}
	s.look(noon.Add(time.Minute))
	all := s.incidents()
	if len(all) != 1 || all[0].Kind != ledger.KindDeploy || !all[0].Found || all[0].Why != "7 of 7 open streams broke within 100ms" {
		t.Fatalf("found %+v", all)
	}
	s.post(broken, false, true) // whose answer took longer to end
	s.unbooked = []incident.Unbooked{{Stream: incident.Stream{At: noon}}}
	s.look(noon.Add(2 * time.Minute))
	s.look(noon.Add(2 * time.Minute))
	if all = s.incidents(); len(all) != 1 || all[0].Number != 1 || all[0].Why != "8 of 8 open streams broke within 100ms" || !all[0].Final.IsZero() {
		t.Fatalf("found %+v", all)
	}
	r := s.report(all[0])
	if r.Incident.State != report.Provisional || r.Total.Attempts != broken || r.Total.Pending != broken || r.Total.Cost.Point.Sign() != 0 || r.Total.Cost.High.String() != "0.44" {
		t.Errorf("while nothing is settled: %+v, %+v", r.Incident, r.Total)
	}
	for n := range broken - 1 {
		s.post(n+1, true, false)
	}
	s.unbooked = nil
	s.look(noon.Add(3 * time.Minute))
	if i := s.incidents()[0]; !i.Final.IsZero() {
		t.Errorf("final while one is pending: %+v", i)
	}
	s.post(broken, true, false)
	s.unbooked = []incident.Unbooked{{Stream: incident.Stream{At: noon.Add(time.Second)}}}
	s.look(noon.Add(4 * time.Minute))
	if i := s.incidents()[0]; !i.Final.IsZero() {
		t.Errorf("final while a stream of that time runs: %+v", i)
	}
	s.unbooked = []incident.Unbooked{{Stream: incident.Stream{At: noon.Add(time.Minute)}}}
	s.look(noon.Add(5 * time.Minute))
	s.final(noon.Add(5 * time.Minute))
}

// final checks that it is, and stays as it is.
func (s *site) final(at time.Time) {
	s.Helper()
	i := s.incidents()[0]
	r := s.report(i)
	if !i.Final.Equal(at) || r.Incident.State != report.FinalState || !r.Incident.FinalAt.Equal(at) || r.Total.Cost.Point.String() != "0.44" || r.Later != nil {
		s.Fatalf("%+v: %+v", r.Incident, r.Total)
	}
	before := text(s, r.Total)
	e, a := broke(1, true)
	e.History.Input[token.Input], e.Input = 4000, token.Exactly(4000)
	e.Bases = settle.Bases{Input: token.Reconciled, Output: token.Reconciled}
	b, err := books.Keep(e.History)
	if err != nil {
		s.Fatal(err)
	}
	p, err := e.Posting(b)
	if err != nil {
		s.Fatal(err)
	}
	p.Attempt, p.Revision, p.Reason = ledger.Attempt{Stream: a.Stream, Number: 1}, 1, ledger.Reconciled
	if _, err := s.ledger.Post(p); err != nil {
		s.Fatal(err)
	}
	s.post(54, true, true) // in the window, long after
	s.look(at.Add(time.Minute))
	if after := s.incidents(); len(after) != 1 || text(s, after[0]) != text(s, i) {
		s.Errorf("it was %+v, and is %+v", i, after)
	}
	r = s.report(i)
	if text(s, r.Total) != before || r.Later == nil || r.Later.Cost.Point.String() != "0.505" {
		s.Errorf("figures %s, were %s; later %+v", text(s, r.Total), before, r.Later)
	}
}

func text(t *site, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// An incident that was declared is final once it is closed and all is settled; one
// that is open is not.
func TestDeclared(t *testing.T) {
	s := newSite(t)
	s.post(1, true, true)
	i, err := s.ledger.OpenIncident(ledger.Incident{Name: "deploy 4711", Start: noon})
	if err != nil {
		t.Fatal(err)
	}
	s.look(noon.Add(time.Minute))
	if r := s.report(s.incidents()[0]); r.Incident.State != report.Open || r.Total.Attempts != 1 {
		t.Errorf("%+v, %d attempts", r.Incident, r.Total.Attempts)
	}
	i.End = noon.Add(2 * time.Minute)
	if _, err := s.ledger.ChangeIncident(i); err != nil {
		t.Fatal(err)
	}
	s.look(noon.Add(time.Minute))
	if !s.incidents()[0].Final.IsZero() {
		t.Error("final before its end")
	}
	s.look(noon.Add(3 * time.Minute))
	if r := s.report(s.incidents()[0]); r.Incident.State != report.FinalState || r.Total.Cost.Point.String() != "0.055" {
		t.Errorf("%+v, cost %s", r.Incident, r.Total.Cost.Point)
	}
}

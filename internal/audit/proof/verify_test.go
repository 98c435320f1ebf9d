package proof

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

var quiet = slog.New(slog.DiscardHandler)

// scene is a data directory with one stream and its posting, well made but for what
// a test changes.
type scene struct {
	output   int64                  // that the answer reports, of 100; -1: nothing
	open     bool                   // the stream has no end
	settled  bool                   // the log has it settled
	unposted bool                   //
	posting  func(*ledger.Posting)  // changes it
	evidence func(*settle.Evidence) // changes what stands behind it
}

func (s scene) make(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	log, err := streamlog.Open(dir, streamlog.Options{Retention: time.Hour, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	l, err := log.Create(streamlog.Header{Principal: streamlog.Hash{1}, Provider: "openai", Dialect: "openai", Endpoint: "/v1/chat/completions", Model: "gpt-5.5", Streamed: true})
	must(t, err)
	must(t, l.SetHead(streamlog.Head{Attempt: 1, Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, At: time.Now()}))
	must(t, l.Append([]streamlog.Event{{Data: []byte("data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n"), Text: true}}))
	if s.output >= 0 {
		must(t, l.Append([]streamlog.Event{{Data: fmt.Appendf(nil, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":2000,\"completion_tokens\":%d}}\n\n", s.output), Terminal: true}}))
	}
	if !s.open {
		_, err = l.Finish(streamlog.End{State: streamlog.Completed, Clean: true})
		must(t, err)
	}
	if s.settled {
		must(t, l.Settled())
	}
	if !s.unposted {
		s.post(t, dir, l.Header())
	}
	l.Release()
	must(t, log.Close())
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s scene) post(t *testing.T, dir string, h streamlog.Header) {
	t.Helper()
	rates, reason := pricing.Embedded().Rates(pricing.Query{Provider: "openai", Model: "gpt-5.5", At: h.Accepted})
	if reason != "" {
		t.Fatal(reason)
	}
	e := &settle.Evidence{
		History: books.History{
			Facts: books.Facts{Input: map[token.Kind]int64{token.Input: 2000}, Output: 100, Events: 2, Terminal: 1, Streamed: true, Rates: rates},
			Steps: []books.Step{{Do: books.Attach, Conn: 1}, {Do: books.Recv, N: 2}, {Do: books.Write, Conn: 1, To: 2}},
		},
		Input: token.Exactly(2000), Output: token.Exactly(100), Bases: settle.Bases{Input: token.Reported, Output: token.Reported},
	}
	if s.evidence != nil {
		s.evidence(e)
	}
	b, err := books.Keep(e.History)
	must(t, err)
	p, err := e.Posting(b)
	must(t, err)
	p.Attempt = ledger.Attempt{Stream: ledger.ID(h.ID), Number: 1, Provider: "openai", Model: "gpt-5.5", At: h.Accepted}
	if s.posting != nil {
		s.posting(&p)
	}
	l, err := ledger.Open(dir, ledger.Options{Logger: quiet})
	must(t, err)
	_, err = l.Post(p)
	must(t, err)
	must(t, l.Close())
}

// An answer may be kept for longer than what it cost.
func TestVerifySummarised(t *testing.T) {
	dir := scene{output: 100, settled: true}.make(t)
	l, err := ledger.Open(dir, ledger.Options{Logger: quiet})
	must(t, err)
	done, err := l.Summarise(t.Context(), time.Now().AddDate(0, 2, 0))
	must(t, err)
	must(t, l.Close())
	p, err := Verify(t.Context(), VerifyOptions{Dir: dir, Scratch: t.TempDir(), Book: pricing.Embedded()})
	must(t, err)
	if !p.Proved || done.Attempts != 1 || p.Ledger.Summarised != 1 || p.Log.Streams != 1 {
		t.Errorf("%+v, of %+v", p, done)
	}
}

func TestVerify(t *testing.T) {
	estimated := func(e *settle.Evidence) {
		e.Bases.Output = token.Counted
		e.Output = token.Range{Low: 90, Point: 100, High: 200}
	}
	for _, c := range []struct {
		name string
		scene
		want string // in what is damaged; "": nothing is
	}{
		{"sound", scene{output: 100, settled: true}, ""},
		{"not settled in the log yet", scene{output: 100}, ""},
		{"estimated, and nothing reported", scene{output: -1, settled: true, evidence: func(e *settle.Evidence) {
			estimated(e)
			e.Bases.Input = token.Bounded
		}}, ""},
		{"not booked yet", scene{output: 100, unposted: true}, ""},
		{"settled, and there are no books", scene{output: 100, settled: true, unposted: true}, "is settled, and there are no books"},
		{"settled, and no outcomes", scene{output: 100, settled: true, posting: func(p *ledger.Posting) { p.Outcomes = nil }}, "the books have no outcomes of it"},
		{"settled, and another's posting", scene{output: 100, settled: true, posting: func(p *ledger.Posting) { p.Attempt.Stream[15] ^= 1 }}, "the books don't have it"},
		{"billed, pending, and no stream", scene{output: 100, posting: func(p *ledger.Posting) { p.Outcomes, p.Attempt.Stream[15] = nil, p.Attempt.Stream[15]^1 }}, "the log has nothing of its stream"},
		{"a token more than was reported", scene{output: 99, settled: true}, "the books have 100 tokens of output as reported, the answer says 99"},
		{"reported, and nothing was", scene{output: -1, settled: true}, "the answer reports none"},
		{"estimated, and it was reported", scene{output: 100, settled: true, evidence: estimated}, "the books estimate the output, and the answer reports 100 tokens"},
		{"a picodollar too much", scene{output: 100, settled: true, posting: func(p *ledger.Posting) {
			p.Bill.Output.Amount++
			p.Outcomes.Output[0].Amount++
		}}, "100 output tokens cost 0.003, and were booked with 0.003000000001"},
		{"variance is told apart", scene{output: 100, settled: true, posting: func(p *ledger.Posting) {
			p.Bill.Output.Amount++
			p.Bill.Output.Variance++
			p.Outcomes.Output[0].Amount++
		}}, ""},
		{"rates that the book never had", scene{output: 100, settled: true, evidence: func(e *settle.Evidence) {
			e.History.Rates.PerToken = map[token.Kind]pricing.Rate{token.Input: 1, token.Output: 2}
		}}, "has other rates for gpt-5.5"},
		{"rates of another book", scene{output: 100, settled: true, evidence: func(e *settle.Evidence) {
			e.History.Rates.Version = "2031-01-01-00000000"
			e.History.Rates.PerToken = map[token.Kind]pricing.Rate{token.Input: 1, token.Output: 2}
		}}, ""},
		{"priced later", scene{output: 100, settled: true, evidence: func(e *settle.Evidence) { e.Listed = &pricing.Rates{} }}, ""},
		{"evidence of another bill", scene{output: 100, settled: true, posting: func(p *ledger.Posting) {
			p.Evidence = json.RawMessage(strings.Replace(string(p.Evidence), `"in":{"input":2000}`, `"in":{"input":2001}`, 1))
		}}, "its evidence says"},
		{"overhead beyond what is lost", scene{output: 100, settled: true, posting: func(p *ledger.Posting) {
			p.Outcomes.Overhead = []ledger.Overhead{{Kind: ledger.OverheadRetry, Tokens: 1}}
		}}, "1 tokens of overhead, and 0 wasted or lost"},
		{"more saved than there is", scene{output: 100, settled: true, posting: func(p *ledger.Posting) {
			p.Outcomes.Saved.OutputTokens, p.Outcomes.Upper.OutputTokens = 101, 101
		}}, "101 output tokens saved"},
		{"input that doesn't go with its output", scene{output: 100, settled: true, posting: func(p *ledger.Posting) { p.Outcomes.Input, p.Outcomes.InputCause = ledger.Lost, "" }}, "its input is lost, its output says delivered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Verify(t.Context(), VerifyOptions{Dir: c.make(t), Scratch: t.TempDir(), Book: pricing.Embedded()})
			must(t, err)
			var texts []string
			for _, d := range p.Damaged {
				texts = append(texts, d.Text)
			}
			if p.Proved != (c.want == "") || !strings.Contains(strings.Join(texts, "\n"), c.want) {
				t.Errorf("%q, not %q", texts, c.want)
			}
			if c.name == "rates of another book" && (p.Money.OtherBooks["2031-01-01-00000000"] != 1 || p.Money.Recomputed != 1 || p.Money.ByBook != 0) {
				t.Errorf("%+v", p.Money)
			}
			if c.name == "priced later" && (p.Money.Recomputed != 1 || p.Money.ByBook != 0 || p.Money.Unpriced != 0) {
				t.Errorf("%+v", p.Money)
			}
			if c.name == "sound" && (p.Usage != UsageProof{Reread: 1} || p.Money.ByBook != 1 || p.Log.Streams != 1 || p.Ledger.Totals == 0) {
				t.Errorf("%+v", p)
			}
		})
	}
}

// A restored directory has no log: what was pending is lost with it, and is no damage.
func TestPendingWithoutLog(t *testing.T) {
	dir := scene{output: 100, posting: func(p *ledger.Posting) { p.Outcomes = nil }}.make(t)
	must(t, os.RemoveAll(filepath.Join(dir, "log")))
	p, err := Verify(t.Context(), VerifyOptions{Dir: dir, Scratch: t.TempDir(), Book: pricing.Embedded()})
	must(t, err)
	if !p.Proved || p.Ledger.Adrift != 1 || p.Usage.Gone != 1 {
		t.Errorf("%+v, %v", p.Ledger, p.Damaged)
	}
}

// The log of a gateway that runs is read before its books. What it accepts meanwhile is in
// the books alone, and is no damage; what was there before has to be in both.
func TestAcceptedWhileTheLogIsRead(t *testing.T) {
	for age, damages := range map[time.Duration]uint64{0: 0, time.Second: 0, 2 * opening: 1} {
		dir := scene{output: 100, posting: func(p *ledger.Posting) {
			p.Outcomes, p.Attempt.Stream[15], p.Attempt.At = nil, p.Attempt.Stream[15]^1, time.Now().Add(-age)
		}}.make(t)
		l, err := ledger.Open(dir, ledger.Options{Logger: quiet}) // it is in use
		must(t, err)
		p, err := Verify(t.Context(), VerifyOptions{Dir: dir, Scratch: t.TempDir(), Book: pricing.Embedded()})
		must(t, errors.Join(err, l.Close()))
		if !p.Live || p.Damages != damages {
			t.Errorf("accepted %v before: in use %v, %v", age, p.Live, p.Damaged)
		}
	}
}

// A panic while damaged files are read is a finding, not the end.
func TestPanicIsDamage(t *testing.T) {
	v := &verifying{p: &Proof{}}
	must(t, v.guard("log", func() error { panic("index out of range") }))
	if v.p.Damages != 1 || v.p.Damaged[0].What != "to read it back ended in: index out of range" {
		t.Errorf("%+v", v.p.Damaged)
	}
}

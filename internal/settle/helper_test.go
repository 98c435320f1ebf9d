package settle

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// site is a log and books, and what brings one to the other.
type site struct {
	t       testing.TB
	dir     string
	log     *streamlog.Log
	ledger  *ledger.Ledger
	settler *Settler
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	s.open()
	t.Cleanup(s.close)
	return s
}

func (s *site) open() {
	s.t.Helper()
	logger := slog.New(slog.NewTextHandler(s.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	var err error
	if s.log, err = streamlog.Open(s.dir, streamlog.Options{Retention: time.Hour, Logger: logger}); err != nil {
		s.t.Fatal(err)
	}
	for _, l := range s.log.Recovered() {
		l.Release()
	}
	if s.ledger, err = ledger.Open(s.dir, ledger.Options{Logger: logger}); err != nil {
		s.t.Fatal(err)
	}
	s.settler = Start(Options{Log: s.log, Ledger: s.ledger, Book: pricing.Embedded(), Factors: &token.Factors{}, Logger: logger})
}

func (s *site) close() {
	s.settler.Close()
	if n := s.ledger.Stats().ImbalanceTokens; n != 0 {
		s.t.Errorf("out of balance by %d tokens", n)
	}
	if err := s.ledger.Close(); err != nil {
		s.t.Error(err)
	}
	if err := s.log.Close(); err != nil {
		s.t.Error(err)
	}
}

// expire lets the retention of all that has ended be over.
func (s *site) expire() {
	s.log.SetRetention(0)
	s.settler.Flush()
	s.log.SetRetention(time.Hour)
}

// play is a stream as its log gets to know it.
type play struct {
	*site
	log    *streamlog.Stream
	id     streamlog.ID
	events uint64
}

const noUsage = -1

func (s *site) stream(change ...func(*streamlog.Header)) *play {
	s.t.Helper()
	h := streamlog.Header{
		Provider: "openai", Dialect: dialect.OpenAI.Name(), Endpoint: "/v1/chat/completions", Model: "gpt-5.5", Streamed: true,
		Choices: 1, BodyBytes: 400, Policy: streamlog.Policy{OnCancel: "billing_stops", Reclaimable: true},
	}
	for _, c := range change {
		c(&h)
	}
	l, err := s.log.Create(h)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(l.Release)
	return &play{site: s, log: l, id: l.Header().ID}
}

func (p *play) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *play) head(status int, header ...string) *play {
	p.t.Helper()
	h := http.Header{"Content-Type": {"text/event-stream"}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	p.must(p.log.SetHead(streamlog.Head{Attempt: 1, Status: status, Header: h, RequestID: "req_" + p.id.String(), At: time.Now()}))
	return p
}

func (p *play) event(e streamlog.Event, data string) *play {
	p.t.Helper()
	e.Data = []byte(data)
	p.must(p.log.Append([]streamlog.Event{e}))
	if !e.More {
		p.events++
	}
	return p
}

// words are events of one token each.
func (p *play) words(n int) *play {
	p.t.Helper()
	for range n {
		p.event(streamlog.Event{Text: true}, `data: {"id":"c","model":"gpt-5.5","choices":[{"index":0,"delta":{"content":" the"},"finish_reason":null}]}`+"\n\n")
	}
	return p
}

// finish is the terminal event, and a usage report.
func (p *play) finish(input, output int) *play {
	p.t.Helper()
	p.event(streamlog.Event{Terminal: true}, `data: {"id":"c","model":"gpt-5.5","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\n")
	if output != noUsage {
		p.event(streamlog.Event{}, fmt.Sprintf(`data: {"id":"c","choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`+"\n\n", input, output, input+output))
	}
	return p
}

func (p *play) attach(a streamlog.Attachment) *streamlog.Conn {
	p.t.Helper()
	c, err := p.log.Attach(a)
	p.must(err)
	return c
}

// owner is a connection that reads from the start.
func (p *play) owner() *streamlog.Conn { return p.attach(streamlog.Attachment{Via: "first"}) }

// leave ends a connection that was given all before event to.
func (p *play) leave(c *streamlog.Conn, to uint64, cause string) *play {
	p.t.Helper()
	c.Delivered(to)
	p.must(c.Detach(cause))
	p.settler.Look(p.id)
	return p
}

// mark is durable when it returns.
func (p *play) mark(m streamlog.Mark) *play {
	p.t.Helper()
	p.must(p.log.Mark(m))
	p.must(p.attach(streamlog.Attachment{Index: p.events, Via: "id", Observe: true}).Detach("done"))
	return p
}

func (p *play) end(state streamlog.State, cause string) *play {
	p.t.Helper()
	_, err := p.log.Finish(streamlog.End{State: state, Cause: cause})
	p.must(err)
	p.settler.Look(p.id)
	return p
}

func (p *play) completed() *play { p.t.Helper(); return p.end(streamlog.Completed, "") }

func (p *play) row() ledger.Row {
	p.t.Helper()
	rows, err := p.ledger.Of(ledger.ID(p.id))
	if err != nil || len(rows) != 1 {
		p.t.Fatalf("%d rows, %v", len(rows), err)
	}
	return rows[0]
}

// booked is what is posted, in one line.
func (p *play) booked() string {
	p.t.Helper()
	row := p.row()
	b, o := row.Current.Bill, row.Current.Outcomes
	var parts []string
	if o == nil {
		parts = append(parts, fmt.Sprintf("pending %d", b.Output.Tokens))
	} else {
		for _, outcome := range []string{ledger.Delivered, ledger.Wasted, ledger.Lost} {
			for _, cause := range ledger.Causes(outcome) {
				for _, out := range o.Output {
					if out.Outcome == outcome && out.Cause == cause {
						parts = append(parts, fmt.Sprintf("%s/%s %d", outcome, cause, out.Tokens))
					}
				}
			}
		}
		input := int64(0)
		for _, line := range b.Input {
			input += line.Tokens
		}
		parts = append(parts, fmt.Sprintf("input %s/%s %d", o.Input, o.InputCause, input))
	}
	return strings.Join(parts, ", ") + fmt.Sprintf(" (%s, %s)", b.InputBasis, b.OutputBasis)
}

func (p *play) want(want string) {
	p.t.Helper()
	if got := p.booked(); got != want {
		p.t.Errorf("booked\n %s, want\n %s", got, want)
	}
}

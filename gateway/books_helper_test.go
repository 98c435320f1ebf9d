package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// booked is what the status of a stream says of its books.
type booked struct {
	Settled  bool   `json:"settled"`
	Revision int    `json:"revision"`
	Bill     string `json:"bill_usd"`
	Net      string `json:"net_usd"`
	Pending  int64  `json:"pending_tokens"`
	Input    struct {
		Tokens     int64 `json:"tokens"`
		Low, High  int64
		Basis, USD string
		Outcome    string
		Kinds      map[string]int64
	} `json:"input"`
	Output struct {
		Tokens    int64 `json:"tokens"`
		Low, High int64
		Basis     string
		Hidden    int64 `json:"hidden_tokens"`
		Received  int64 `json:"received_tokens"`
	} `json:"output"`
	Outcomes []struct {
		Outcome, Cause, USD string
		Tokens              int64
	} `json:"outcomes"`
	Saved struct {
		Output int64  `json:"output_tokens"`
		Input  int64  `json:"input_tokens"`
		USD    string `json:"usd"`
		Upper  string `json:"usd_upper"`
	} `json:"saved"`
	Overhead []struct {
		Kind, USD string
		Tokens    int64
	} `json:"overhead"`
}

// String is the books in one line, to be compared with a worked example.
func (b booked) String() string {
	var parts []string
	for _, o := range b.Outcomes {
		parts = append(parts, fmt.Sprintf("%s/%s %d", o.Outcome, o.Cause, o.Tokens))
	}
	for _, o := range b.Overhead {
		parts = append(parts, fmt.Sprintf("overhead/%s %d $%s", o.Kind, o.Tokens, o.USD))
	}
	return fmt.Sprintf("%s; paid $%s; saved %d+%d $%s (upper $%s); net $%s", strings.Join(parts, ", "), b.Bill,
		b.Saved.Output, b.Saved.Input, b.Saved.USD, b.Saved.Upper, b.Net)
}

// books are what is booked of a stream once all is settled that can be.
func (s *site) books(id string) booked {
	s.t.Helper()
	s.gateway.SettleForTest()
	_, data := s.must(200, http.MethodGet, "/recoup/streams/"+id+"/status", "", nil)
	var status struct{ Books booked }
	if err := json.Unmarshal(data, &status); err != nil {
		s.t.Fatal(err)
	}
	return status.Books
}

// expire lets the retention of all streams end, as far as the books go.
func (s *site) expire() {
	s.t.Helper()
	keep := s.log.Retention()
	s.log.SetRetention(0)
	defer s.log.SetRetention(keep)
	for patience := time.Now().Add(20 * time.Second); s.log.Stats().Unsettled > 0; s.gateway.SettleForTest() {
		if time.Now().After(patience) {
			s.t.Fatalf("%d streams are not settled", s.log.Stats().Unsettled)
		}
	}
}

// A reader is a client of the worked examples.
type reader struct {
	*http.Response
	id   string
	got  []byte
	site *site
}

func (s *site) call(path, body string, h header) *reader {
	s.t.Helper()
	resp := s.do(http.MethodPost, path, body, h)
	return &reader{Response: resp, id: resp.Header.Get("Recoup-Stream-Id"), site: s}
}

// read takes events until it has n.
func (r *reader) read(n int) *reader {
	r.site.t.Helper()
	buf, blank := make([]byte, 1), []byte("\n\n")
	for have := bytes.Count(r.got, blank); have < n; {
		if _, err := r.Body.Read(buf); err != nil {
			r.site.t.Fatalf("after %d events: %v", have, err)
		}
		if r.got = append(r.got, buf[0]); bytes.HasSuffix(r.got, blank) {
			have++
		}
	}
	return r
}

// leave breaks the connection and waits until the gateway has seen it.
func (r *reader) leave() {
	r.site.t.Helper()
	r.Body.Close()
	r.site.awaitConnections(r.id, 0)
}

// rest reads to the end, however it ends.
func (r *reader) rest() {
	_, _ = io.ReadAll(r.Body)
	r.Body.Close()
	r.site.awaitConnections(r.id, 0)
}

// cursor is where the reader broke off.
func (r *reader) cursor() string {
	return fmt.Sprintf("%016d_%016d", bytes.Count(r.got, []byte("\n\n")), len(r.got))
}

// release lets the provider go on to its next stall.
func (s *site) release(stalled int) {
	s.t.Helper()
	s.releaseStalled()
	if stalled > 0 {
		s.waitStalled(stalled)
	}
}

// waitStalled waits until the provider is silent in n answers at once.
func (s *site) waitStalled(n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.sim.WaitStalled(ctx, n); err != nil {
		s.t.Fatal(err)
	}
}

const role = 1 // event before the first token

// bookBody is a call as long as 2,000 tokens of input are.
var bookBody = `{"model":"gpt-5.5","stream":true,"messages":[{"role":"user","content":"hello` + strings.Repeat(" and so on", 800) + `"}]}`

var keyed = header{"Idempotency-Key": "run:step"}

// jam stands between the gateway and a client that takes no more.
type jam struct {
	closed          atomic.Bool
	reached, failed chan struct{}
}

func newJam() *jam { return &jam{reached: make(chan struct{}, 1), failed: make(chan struct{})} }

// close lets no more through, and returns what says that something stands
// before it.
func (j *jam) close() <-chan struct{} {
	j.closed.Store(true)
	return j.reached
}

// fail breaks the connection.
func (j *jam) fail() { close(j.failed) }

func (j *jam) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == chatPath {
			w = &jammedWriter{w, j}
		}
		h.ServeHTTP(w, r)
	})
}

type jammedWriter struct {
	http.ResponseWriter
	jam *jam
}

func (w *jammedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *jammedWriter) Write(p []byte) (int, error) {
	if w.jam.closed.Load() {
		w.jam.reached <- struct{}{}
		<-w.jam.failed
		return 0, io.ErrClosedPipe
	}
	return w.ResponseWriter.Write(p)
}

// awaitEvents waits until the log has n events of a stream.
func (s *site) awaitEvents(id string, n uint64) {
	s.t.Helper()
	parsed, err := streamlog.ParseID(id)
	if err != nil {
		s.t.Fatal(err)
	}
	l := s.get(parsed)
	defer l.Release()
	r, err := l.Reader(l.Info().Events)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	for patience := time.After(20 * time.Second); l.Info().Events < n; {
		select {
		case <-r.Ready():
			if _, err := r.Read(1 << 20); err != nil && !errors.Is(err, streamlog.ErrWait) {
				s.t.Fatal(err)
			}
		case <-patience:
			s.t.Fatalf("%d events, want %d", l.Info().Events, n)
		}
	}
}

// timeOut makes a call whose client leaves before the provider's head has come,
// and returns its stream.
func (s *site) timeOut(body string) string {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		resp, err := s.client.Do(s.request(http.MethodPost, chatPath, body, keyed).WithContext(ctx))
		if err == nil {
			resp.Body.Close()
		}
	}()
	patience, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	if err := s.sim.WaitStalled(patience, 1); err != nil {
		s.t.Fatal(err)
	}
	cancel()
	<-done
	_, data := s.must(200, http.MethodGet, "/recoup/streams", "", nil)
	var page struct{ Streams []struct{ ID string } }
	if err := json.Unmarshal(data, &page); err != nil || len(page.Streams) != 1 {
		s.t.Fatalf("%v: %s", err, data)
	}
	s.awaitConnections(page.Streams[0].ID, 0)
	return page.Streams[0].ID
}

// reconcile gives the provider's bill to the books, and wants all of it to be
// explained.
func (s *site) reconcile() {
	s.t.Helper()
	bills := map[string]*audit.Bill{}
	for _, e := range s.finished() {
		provider := "openai"
		for name := range s.config.Providers {
			if rows, err := s.ledger.ByRequestID(name, e.RequestID); err != nil {
				s.t.Fatal(err)
			} else if len(rows) > 0 {
				provider = name
			}
		}
		if bills[provider] == nil {
			bills[provider] = &audit.Bill{Provider: provider}
		}
		bills[provider].Lines = append(bills[provider].Lines, audit.Line{
			RequestID: e.RequestID, Model: e.Model, Output: int64(e.Billed), Hidden: token.Known(int64(e.Hidden)),
			Input:   map[token.Kind]int64{token.Input: int64(e.Input), token.CacheRead: int64(e.CacheRead)},
			Started: e.Started, Ended: e.Ended,
		})
	}
	for _, bill := range bills {
		r, err := audit.Reconcile(s.t.Context(), s.ledger, pricing.Embedded(), *bill)
		if err != nil || r.Unexplained != 0 || len(r.OutOfBounds) > 0 {
			s.t.Errorf("reconciliation with %+v: %+v, %v", bill, r, err)
		}
	}
}

// finished are the lines of the provider's bill that are final: all but those of
// the streams that are still answered.
func (s *site) finished() (lines []simulator.Entry) {
	s.t.Helper()
	for patience := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		lines, all := lines[:0], s.sim.Bill()
		for _, e := range all {
			if !e.Ended.IsZero() {
				lines = append(lines, e)
			}
		}
		if len(all)-len(lines) <= s.gateway.LiveForTest() {
			return lines
		}
		if time.Now().After(patience) {
			s.t.Fatalf("%d of %d calls have not ended", len(all)-len(lines), len(all))
		}
	}
}

// sameBill wants the books to be the provider's bill to the token, each attempt
// settled once, and each token of it with one outcome.
func (s *site) sameBill() {
	s.t.Helper()
	var input, output, wantInput, wantOutput int64
	for _, e := range s.sim.Bill() {
		wantInput += int64(e.InputTotal())
		wantOutput += int64(e.Billed)
	}
	err := s.ledger.Attempts(s.t.Context(), 0, func(r ledger.Row) error {
		bill, sum := r.Current.Bill, int64(0)
		if r.Current.Outcomes == nil {
			s.t.Errorf("attempt %s is not settled", r.ID())
			return nil
		}
		for _, o := range r.Current.Outcomes.Output {
			sum += o.Tokens
		}
		if sum != bill.Output.Tokens {
			s.t.Errorf("attempt %s: outcomes of %d tokens, %d billed", r.ID(), sum, bill.Output.Tokens)
		}
		output += bill.Output.Tokens
		for _, line := range bill.Input {
			input += line.Tokens
		}
		return nil
	})
	if err != nil || input != wantInput || output != wantOutput {
		s.t.Errorf("booked %d + %d tokens, the provider billed %d + %d; %v", input, output, wantInput, wantOutput, err)
	}
	if _, err := s.ledger.Verify(s.t.Context(), nil); err != nil {
		s.t.Error(err)
	}
}

func ledgerID(t *testing.T, id string) ledger.ID {
	t.Helper()
	parsed, err := streamlog.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	return ledger.ID(parsed)
}

package proof

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/internal/token"
)

// fact is what of a stream in the log is compared with the books.
type fact struct {
	Stream  ledger.ID
	Attempt int
	At      time.Time // it was accepted
	Open    bool      // it has no end yet: nothing else is known
	Settled bool
	Billed  bool // the provider can have billed something
	Whole   bool // it is completed, and all of it could be read
	Unread  bool // its usage
	Sums    reportedSums
}

// reportedSums are sums, to be stored.
type reportedSums struct {
	Input, Output     int64
	InputOK, OutputOK bool
}

// factOf reads a stream again.
func factOf(s streamlog.Settling) (fact, error) {
	info := s.Info()
	f := fact{Stream: ledger.ID(info.Header.ID), Attempt: 1, At: info.Header.Accepted, Open: s.Open, Settled: s.Settled}
	if n := len(info.Attempts); n > 0 {
		f.Attempt = max(info.Attempts[n-1].Number, 1)
	}
	if s.Open {
		return f, nil
	}
	var r *reread
	var head *streamlog.Head
	end := info.End
	err := s.History(func(e streamlog.Entry) error {
		switch {
		case e.Head != nil:
			if head, r = e.Head, nil; head.Status/100 == 2 && head.Header.Get("Content-Encoding") == "" {
				r = newReread(info.Header, head)
			}
		case e.Event != nil && r != nil:
			r.event(e.Event.Data, e.Event.More)
		case e.End != nil:
			end = e.End
		}
		return nil
	})
	if err != nil && !errors.Is(err, streamlog.ErrDamaged) {
		return f, err
	}
	f.Whole = err == nil && info.Damaged == nil && end != nil && end.State == streamlog.Completed
	f.Billed = billable(head, end)
	if f.Unread = r == nil || r.large || err != nil || info.Damaged != nil; !f.Unread {
		u := r.sums()
		f.Sums = reportedSums{u.input, u.output, u.inputOK, u.outputOK}
	}
	return f, nil
}

// billable: refusals are free, and what never reached the provider.
func billable(head *streamlog.Head, end *streamlog.End) bool {
	if head == nil {
		return end == nil || end.Cause != "unreachable"
	}
	return head.Status/100 == 2 || head.Status >= http.StatusInternalServerError || head.Status == http.StatusRequestTimeout
}

// facts wait in a file until the books are open.
type facts struct {
	f   *os.File
	out *bufio.Writer
	enc *json.Encoder
}

func newFacts(dir string) (*facts, error) {
	f, err := os.Create(filepath.Join(dir, "facts"))
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	out := bufio.NewWriter(f)
	return &facts{f, out, json.NewEncoder(out)}, nil
}

func (f *facts) write(one fact) error { return f.enc.Encode(one) }

func (f *facts) close() error { return f.f.Close() }

// each calls fn with all that were written.
func (f *facts) each(fn func(fact) error) error {
	if err := f.out.Flush(); err != nil {
		return err
	}
	if _, err := f.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for d := json.NewDecoder(bufio.NewReader(f.f)); ; {
		var one fact
		if err := d.Decode(&one); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		if err := fn(one); err != nil {
			return err
		}
	}
}

// compareFacts holds the streams that are still there against the books.
func (v *verifying) compareFacts(l *ledger.Ledger) error {
	seen := uint64(0)
	err := v.facts.each(func(f fact) error {
		if f.Open {
			delete(v.pending, ledger.AttemptID{Stream: f.Stream, Number: f.Attempt})
			return nil
		}
		rows, err := l.Of(f.Stream)
		if unreadable(err) {
			return nil // and reported
		} else if err != nil {
			return err
		}
		for _, row := range rows {
			delete(v.pending, row.ID())
			if row.Number == f.Attempt {
				seen++
				v.compareUsage(f, row)
				return nil
			}
		}
		v.notBooked(f)
		return nil
	})
	if err != nil {
		return err
	}
	v.p.Usage.Gone = v.p.Ledger.Attempts - min(seen, v.p.Ledger.Attempts)
	if v.p.Log.Buckets == 0 && v.p.Log.Streams == 0 {
		v.p.Ledger.Adrift = uint64(len(v.pending))
		return nil
	}
	for id := range v.pending {
		v.damageOf("log", id, "it is billed and not settled, and the log has nothing of its stream")
	}
	return nil
}

func (v *verifying) notBooked(f fact) {
	id := ledger.AttemptID{Stream: f.Stream, Number: f.Attempt}
	switch {
	case !f.Billed:
		v.p.Usage.Free++
	case f.Settled && f.At.Before(v.closed): // the log keeps answers longer than the books keep attempts
	case f.Settled:
		v.damageOf("ledger", id, "the log has it settled, and the books don't have it")
	default:
		v.p.Usage.Waiting++
	}
}

// compareUsage holds what an answer reports against what was first billed for it.
func (v *verifying) compareUsage(f fact, row ledger.Row) {
	first := row.Current
	if len(row.Earlier) > 0 {
		first = row.Earlier[0]
	}
	if f.Settled && row.Current.Outcomes == nil {
		v.damageOf("ledger", row.ID(), "the log has it settled, and the books have no outcomes of it")
	}
	if f.Unread || max(f.Sums.Input, f.Sums.Output) > maxBelieved {
		v.p.Usage.Unread++
		return
	}
	input, output := tokensOf(first.Bill)
	in := v.compareSum(f, row.ID(), part{"input", input, first.Bill.InputBasis, f.Sums.Input, f.Sums.InputOK})
	out := v.compareSum(f, row.ID(), part{"output", output, first.Bill.OutputBasis, f.Sums.Output, f.Sums.OutputOK})
	if in || out {
		v.p.Usage.Reread++
	} else {
		v.p.Usage.Estimated++
	}
}

// part is one side of a bill, and what was reported of it.
type part struct {
	name     string
	booked   int64
	basis    token.Basis
	reported int64
	ok       bool
}

// compareSum says if there was something to compare.
func (v *verifying) compareSum(f fact, id ledger.AttemptID, p part) bool {
	said := p.basis == token.Reported || p.basis == token.Partial
	switch {
	case said && !p.ok:
		v.damageOf("usage", id, "the books have %d tokens of %s as reported, and the answer reports none", p.booked, p.name)
	case said && p.reported != p.booked:
		v.damageOf("usage", id, "the books have %d tokens of %s as reported, the answer says %d", p.booked, p.name, p.reported)
	case !said && p.ok && f.Whole:
		v.damageOf("usage", id, "the books estimate the %s, and the answer reports %d tokens", p.name, p.reported)
	}
	return said && p.ok
}

// maxBelieved is the most that the books take of a report.
const maxBelieved = 1 << 25

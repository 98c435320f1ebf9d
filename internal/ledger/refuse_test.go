package ledger

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
)

func TestImbalanceIsRefused(t *testing.T) {
	l := open(t, t.TempDir())
	more, less, money := example(1), example(2), example(3)
	more.Outcomes.Output[0].Tokens += 3
	less.Outcomes.Output[0].Tokens -= 5
	money.Outcomes.Output[1].Amount--
	for _, c := range []struct {
		p    Posting
		want Imbalance
	}{
		{more, Imbalance{more.Attempt.ID(), 3, 0}},
		{less, Imbalance{less.Attempt.ID(), -5, 0}},
		{money, Imbalance{money.Attempt.ID(), 0, -1}},
	} {
		_, err := l.Post(c.p)
		var got *Imbalance
		if !errors.As(err, &got) || *got != c.want || !errors.Is(err, ErrImbalance) {
			t.Errorf("got %v, want %v", err, &c.want)
		}
		if _, err := l.Get(c.p.Attempt.Stream, 1); !errors.Is(err, ErrNotFound) {
			t.Errorf("a part of it was posted: %v", err)
		}
	}
	bill := example(4)
	bill.Outcomes = nil
	post(t, l, bill)
	late := more
	late.Attempt, late.Bill = bill.Attempt, nil
	if _, err := l.Post(late); !errors.Is(err, ErrImbalance) {
		t.Errorf("later outcomes: %v", err)
	}
	if s := l.Stats(); s.ImbalanceTokens != 3+5+3 || s.Imbalances != 4 || s.Head.Seq != 1 {
		t.Errorf("%+v", s)
	}
	verify(t, l)
}

func TestPostingAgain(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	p := example(1)
	post(t, l, p)
	head := l.Head()
	for range 2 {
		again := example(1)
		again.Attempt.Ended = again.Attempt.Ended.Add(time.Hour)
		again.Evidence = nil
		slices.Reverse(again.Outcomes.Output)
		again.Outcomes.Output = append(again.Outcomes.Output, Outcome{Outcome: Delivered, Cause: Live})
		if posted, err := l.Post(again); posted || err != nil {
			t.Errorf("%v, %v", posted, err)
		}
		part := example(1)
		part.Bill = nil
		if posted, err := l.Post(part); posted || err != nil {
			t.Errorf("outcomes alone: %v, %v", posted, err)
		}
		shut(t, l)
		l = open(t, dir)
	}
	for name, change := range map[string]func(*Posting){
		"bill":          func(p *Posting) { p.Bill.Output.Amount++; p.Outcomes.Output[0].Amount++ },
		"basis":         func(p *Posting) { p.Bill.InputBasis = token.Partial },
		"price version": func(p *Posting) { p.Bill.PriceVersion = "2026-12-01" },
		"outcomes": func(p *Posting) {
			p.Outcomes.Output[0].Tokens--
			p.Outcomes.Output[1].Tokens++
		},
		"input":    func(p *Posting) { p.Outcomes.Input = Lost },
		"saved":    func(p *Posting) { p.Outcomes.Saved.Output = 1 },
		"model":    func(p *Posting) { p.Attempt.Model = "gpt-5-mini" },
		"provider": func(p *Posting) { p.Attempt.Provider = "azure" },
	} {
		other := example(1)
		change(&other)
		if posted, err := l.Post(other); posted || !errors.Is(err, ErrPosted) {
			t.Errorf("another %s: %v, %v", name, posted, err)
		}
	}
	if l.Head() != head {
		t.Errorf("head %v, was %v", l.Head(), head)
	}
	verify(t, l)
}

func TestInvalidPostings(t *testing.T) {
	l := open(t, t.TempDir())
	for name, change := range map[string]func(*Posting){
		"no stream":          func(p *Posting) { p.Attempt.Stream = ID{} },
		"number":             func(p *Posting) { p.Attempt.Number = 1 << 16 },
		"no provider":        func(p *Posting) { p.Attempt.Provider = "" },
		"NUL in model":       func(p *Posting) { p.Attempt.Model = "a\x00b" },
		"no time":            func(p *Posting) { p.Attempt.At = time.Time{} },
		"long request id":    func(p *Posting) { p.Attempt.RequestID = string(make([]byte, 2000)) },
		"reason":             func(p *Posting) { p.Reason = Reconciled },
		"no reason":          func(p *Posting) { p.Revision = 1 },
		"unknown reason":     func(p *Posting) { p.Revision, p.Reason = 1, "mood" },
		"nothing":            func(p *Posting) { p.Bill, p.Outcomes = nil, nil },
		"evidence":           func(p *Posting) { p.Evidence = json.RawMessage("{") },
		"much evidence":      func(p *Posting) { p.Evidence = json.RawMessage(`"` + string(make([]byte, MaxEvidence)) + `"`) },
		"negative tokens":    func(p *Posting) { p.Bill.Input[0].Tokens = -1 },
		"negative amount":    func(p *Posting) { p.Bill.Output.Amount = -1 },
		"large amount":       func(p *Posting) { p.Bill.Output.Amount = 1 << 60 },
		"output as input":    func(p *Posting) { p.Bill.Input[0].Kind = token.Reasoning },
		"kind twice":         func(p *Posting) { p.Bill.Input = append(p.Bill.Input, p.Bill.Input...) },
		"hidden":             func(p *Posting) { p.Bill.Hidden = 1013 },
		"range":              func(p *Posting) { p.Bill.High = 1000 },
		"basis":              func(p *Posting) { p.Bill.OutputBasis = "guessed" },
		"outcome":            func(p *Posting) { p.Outcomes.Output[0].Outcome = "kept" },
		"cause":              func(p *Posting) { p.Outcomes.Output[0].Cause = Live },
		"outcome twice":      func(p *Posting) { p.Outcomes.Output[1].Cause = Abandoned },
		"outcome of input":   func(p *Posting) { p.Outcomes.Input = "" },
		"cause of input":     func(p *Posting) { p.Outcomes.InputCause = Resumed },
		"overhead":           func(p *Posting) { p.Outcomes.Overhead[0].Kind = "other" },
		"overhead twice":     func(p *Posting) { p.Outcomes.Overhead = append(p.Outcomes.Overhead, p.Outcomes.Overhead...) },
		"negative saving":    func(p *Posting) { p.Outcomes.Saved.Input = -1 },
		"negative breaks":    func(p *Posting) { p.Outcomes.Breaks["client"] = -1 },
		"negative uncertain": func(p *Posting) { p.Outcomes.Uncertain = -1 },
	} {
		p := example(1)
		change(&p)
		if posted, err := l.Post(p); posted || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, %v", name, posted, err)
		}
	}
	if s := l.Stats(); s.Head.Seq != 0 || s.Imbalances != 0 {
		t.Errorf("%+v", s)
	}
}

package simulator_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// leave reads a stream up to its stall, and goes away without a word.
func (f *fixture) leave(path, body string) simulator.Entry {
	f.t.Helper()
	c, cancel := context.WithCancel(ctx(f.t))
	defer cancel()
	resp, err := f.client.Do(f.request(c, path, body))
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := f.WaitStalled(ctx(f.t), 1); err != nil {
		f.t.Fatal(err)
	}
	readN(f.t, resp.Body, f.Bill()[0].Bytes)
	cancel()
	return f.last()
}

func TestBillWhenTheClientLeaves(t *testing.T) {
	type bill struct{ generated, hidden, billed int }
	for name, tc := range map[string]struct {
		script simulator.Script
		want   bill
	}{
		"stops":                 {simulator.Script{Tokens: 1500, StallAfterEvents: 601}, bill{600, 0, 600}},
		"stops with a tail":     {simulator.Script{Tokens: 1500, StallAfterEvents: 1001, TailTokens: 12, OnDisconnect: simulator.BillStops}, bill{1000, 0, 1012}},
		"tail ends the answer":  {simulator.Script{Tokens: 20, StallAfterEvents: 11, TailTokens: 50}, bill{10, 0, 20}},
		"full":                  {simulator.Script{Tokens: 1500, Hidden: 7, StallAfterEvents: 601, OnDisconnect: simulator.BillFull, TailTokens: 5}, bill{1507, 7, 1507}},
		"hidden came first":     {simulator.Script{Tokens: 400, Hidden: 3000, StallAfterEvents: 401, TailTokens: 12}, bill{3400, 3000, 3400}},
		"hidden and shown":      {simulator.Script{Tokens: 400, Hidden: 100, ShowHidden: true, StallAfterEvents: 51}, bill{50, 50, 50}},
		"two tokens an event":   {simulator.Script{Tokens: 99, TokensPerEvent: 2, StallAfterEvents: 11}, bill{20, 0, 20}},
		"more than is reported": {simulator.Script{Tokens: 99, StallAfterEvents: 11, BillExtra: 3}, bill{10, 0, 13}},
		"before any token":      {simulator.Script{Tokens: 99, Hidden: 5, StallAfterEvents: -1, TailTokens: 2}, bill{0, 0, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.script.Input = 2000
			f := start(t, simulator.Options{Default: tc.script})
			e := f.leave(chatPath, chatStream)
			if got := (bill{e.Generated, e.Hidden, e.Billed}); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if e.End != simulator.EndGone || e.Input != 2000 || e.Answer != max(tc.script.Tokens, 0)+tc.script.Hidden {
				t.Errorf("entry %+v", e)
			}
		})
	}
}

func TestBillWhenTheProviderFails(t *testing.T) {
	for name, tc := range map[string]struct {
		script        simulator.Script
		input, billed int
	}{
		"cut":           {simulator.Script{CutAfterEvents: 8}, 40, 7},
		"cut, full":     {simulator.Script{CutAfterEvents: 8, OnFailure: simulator.FailBillsFull}, 40, 30},
		"cut, free":     {simulator.Script{CutAfterEvents: 8, OnFailure: simulator.FailIsFree, BillExtra: 9}, 0, 0},
		"error":         {simulator.Script{ErrorAfterEvents: 8}, 40, 7},
		"error, free":   {simulator.Script{ErrorAfterEvents: 8, OnFailure: simulator.FailIsFree}, 0, 0},
		"clean, full":   {simulator.Script{CutAfterEvents: 8, Cut: simulator.CutClean, OnFailure: simulator.FailBillsFull}, 40, 30},
		"drop":          {simulator.Script{Drop: true}, 0, 0},
		"drop, full":    {simulator.Script{Drop: true, OnFailure: simulator.FailBillsFull}, 40, 30},
		"status":        {simulator.Script{Status: 500, OnFailure: simulator.FailBillsFull}, 0, 0},
		"no failure":    {simulator.Script{OnFailure: simulator.FailIsFree, BillExtra: 2}, 40, 32},
		"cut too late":  {simulator.Script{CutAfterEvents: 1000}, 40, 30},
		"explicit zero": {simulator.Script{Tokens: -1, Input: -1}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := tc.script
			if s.Tokens == 0 {
				s.Tokens, s.Input = 30, 40
			}
			f := start(t, simulator.Options{Default: s})
			resp, err := f.client.Do(f.request(ctx(t), chatPath, chatStream))
			if err == nil {
				_, _ = io.ReadAll(resp.Body) // broken or not is another test's matter
				resp.Body.Close()
			}
			if e := f.last(); e.Input != tc.input || e.Billed != tc.billed {
				t.Errorf("input %d, billed %d, want %d, %d: %+v", e.Input, e.Billed, tc.input, tc.billed, e)
			}
		})
	}
}

// A bill that is wrong by one differs from what was reported for the very same
// request, whichever way it was made wrong.
func TestBillThatIsWrongByOne(t *testing.T) {
	script := simulator.Script{Tokens: 30, Hidden: 5, Input: 40}
	wrong := script
	wrong.BillExtra = 1
	on := func(r *http.Request) int {
		if r.Header.Get("Traceparent") != "" {
			return 1
		}
		return 0
	}
	for name, body := range map[string]string{"streamed": chatUsage, "whole": chatWhole} {
		t.Run(name, func(t *testing.T) {
			f := start(t, simulator.Options{BillExtraOn: on})
			for i, c := range []struct {
				script simulator.Script
				trace  string
				billed int
			}{{script, "", 35}, {wrong, "", 36}, {script, "00-1-2-01", 36}} {
				f.Next(c.script)
				r := f.request(ctx(t), chatPath, body)
				r.Header.Set("Traceparent", c.trace)
				got, err := io.ReadAll(f.open(r).Body)
				if err != nil || !bytes.Contains(got, []byte(`"completion_tokens":35`)) {
					t.Errorf("call %d: %v: %s", i, err, got)
				}
				if e := f.last(); e.Billed != c.billed || e.Generated != 35 || e.Hidden != 5 || e.Input != 40 || e.End != simulator.EndCompleted {
					t.Errorf("call %d: %+v", i, e)
				}
			}
		})
	}
}

func TestEntryDescribesTheRequest(t *testing.T) {
	f := start(t, simulator.Options{Keys: []string{"sk-test"}})
	r := f.request(ctx(t), messagesPath+"?beta=true", messagesWhole)
	r.Header.Set("X-Api-Key", "sk-test")
	r.Header.Set("Traceparent", "00-1-2-01")
	f.open(r)
	e := f.last()
	if e.Seq != 0 || e.Method != http.MethodPost || e.Path != messagesPath || e.Query != "beta=true" || e.Header.Get("Traceparent") != "00-1-2-01" {
		t.Errorf("entry %+v", e)
	}
	if e.Header.Get("X-Api-Key") != simulator.HashCredential("sk-test") || e.Header.Get("Authorization") != simulator.HashCredential("Bearer sk-test") {
		t.Errorf("headers %v", e.Header)
	}
	if sum := sha256.Sum256([]byte(messagesWhole)); e.BodySHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("sha256 %q", e.BodySHA256)
	}
	if e.Ended.Before(e.Started) || e.Started.IsZero() {
		t.Errorf("from %v to %v", e.Started, e.Ended)
	}
	f.Bill()[0].Header.Set("Traceparent", "changed")
	if f.Bill()[0].Header.Get("Traceparent") != "00-1-2-01" {
		t.Error("the bill isn't a copy")
	}
}

func TestManyAtOnceAreAllOnTheBill(t *testing.T) {
	f := start(t, simulator.Options{})
	f.On(func(*http.Request, []byte) *simulator.Script {
		return &simulator.Script{Tokens: 40, Interval: 1, Input: 3}
	})
	const n = 50
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, body, err := f.post(chatPath, chatUsage); err != nil || len(body) == 0 {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		})
	}
	wg.Wait()
	if err := f.WaitEnded(ctx(t), n); err != nil {
		t.Fatal(err)
	}
	billed, ids := 0, map[string]bool{}
	for i, e := range f.Bill() {
		if e.Seq != i || e.End != simulator.EndCompleted {
			t.Errorf("entry %d: %+v", i, e)
		}
		billed += e.Billed + e.Input
		ids[e.ResponseID] = true
	}
	if billed != n*43 || len(ids) != n || f.Calls() != n {
		t.Errorf("billed %d, %d ids, %d calls", billed, len(ids), f.Calls())
	}
	f.Reset()
	if f.Calls() != 0 || len(f.Bill()) != 0 {
		t.Error("Reset left a bill")
	}
}

func TestWaitsEndWithTheirContext(t *testing.T) {
	f := start(t, simulator.Options{})
	c, cancel := context.WithCancelCause(context.Background())
	cancel(fmt.Errorf("enough"))
	if err := f.WaitCalls(c, 1); err == nil || err.Error() != "enough" {
		t.Errorf("error %v", err)
	}
	if err := f.WaitIdle(c); err != nil {
		t.Errorf("idle, but %v", err)
	}
}

// A bill with an end keeps its newest lines. What runs stays, and all after it.
func TestKeep(t *testing.T) {
	sim := start(t, simulator.Options{Keep: 3, Default: simulator.Script{Tokens: 1}})
	ask := func(n int) {
		t.Helper()
		for range n {
			resp, err := sim.client.Do(sim.request(ctx(t), chatPath, chatWhole))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	numbers := func() (seqs []int) {
		for _, e := range sim.Bill() {
			seqs = append(seqs, e.Seq)
		}
		return seqs
	}
	ask(5)
	if err := sim.WaitEnded(ctx(t), 5); err != nil {
		t.Fatal(err)
	}
	if got := numbers(); !slices.Equal(got, []int{2, 3, 4}) || sim.Calls() != 5 {
		t.Errorf("%v of %d calls", got, sim.Calls())
	}
	sim.Next(simulator.Script{StallHead: true})
	go func() {
		resp, err := sim.client.Do(sim.request(ctx(t), chatPath, chatWhole))
		if err == nil {
			resp.Body.Close()
		}
	}()
	if err := sim.WaitStalled(ctx(t), 1); err != nil {
		t.Fatal(err)
	}
	ask(4)
	if got := numbers(); !slices.Equal(got, []int{5, 6, 7, 8, 9}) {
		t.Errorf("%v, while number 5 runs", got)
	}
	sim.Release()
	if err := sim.WaitEnded(ctx(t), 10); err != nil {
		t.Fatal(err)
	}
	ask(1)
	if got := numbers(); !slices.Equal(got, []int{8, 9, 10}) || sim.Calls() != 11 {
		t.Errorf("%v of %d calls", got, sim.Calls())
	}
	sim.Reset()
	if ask(1); !slices.Equal(numbers(), []int{0}) {
		t.Errorf("%v after a reset", numbers())
	}
}

package settle

import (
	"time"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/token"
)

// Bounds are the least and the most that the bill may come to, by tokens and in
// money at the rates that it was posted with; nil if it is exact, or they can't be
// reckoned.
func (e *Evidence) Bounds() *ledger.Bounds {
	if !e.Bases.Input.Estimated() && !e.Bases.Output.Estimated() {
		return nil
	}
	f := e.History.Facts
	point, err := f.Amounts()
	if err != nil {
		return nil
	}
	b := &ledger.Bounds{
		Input:  ledger.Interval{Low: e.Input.Low, High: e.Input.High, From: point.Input, To: point.Input},
		Output: ledger.Interval{Low: e.Output.Low, High: e.Output.High, From: point.Output, To: point.Output},
	}
	low, high := f, f
	if e.Input.Low != e.Input.High { // then all of it is of one kind
		low.Input, high.Input = map[token.Kind]int64{token.Input: e.Input.Low}, map[token.Kind]int64{token.Input: e.Input.High}
	}
	low.Output, high.Output = e.Output.Low, e.Output.High
	least, err := low.Amounts()
	if err != nil {
		return nil
	}
	most, err := high.Amounts()
	if err != nil {
		return nil
	}
	b.Input.From, b.Input.To = min(least.Input, point.Input), max(most.Input, point.Input)
	b.Output.From, b.Output.To = min(least.Output, point.Output), max(most.Output, point.Output)
	return b
}

// Broken is when the answer broke off, and by whose doing.
func Broken(b books.Books) (all []ledger.Break) {
	for _, k := range b.Broken[:min(len(b.Broken), maxBroken)] {
		if k.At > 0 {
			all = append(all, ledger.Break{At: time.UnixMilli(k.At).UTC(), Cause: k.Cause})
		}
	}
	return all
}

// maxBroken bounds how many breaks of one attempt are stored with their time.
const maxBroken = 100

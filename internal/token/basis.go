package token

import "slices"

// Basis is the evidence for a figure. The zero value is that of nothing at all: an
// empty sum.
type Basis string

// The bases.
const (
	Reconciled Basis = "reconciled" // from the bill
	Reported   Basis = "reported"   // the provider's final usage
	Partial    Basis = "partial"    // the last running usage of a cut stream
	Counted    Basis = "counted"    // visible text in the right tokenizer
	Calibrated Basis = "calibrated" // another tokenizer's count times a learnt factor
	Bounded    Basis = "bounded"    // hidden, or unseen: low, point and high
)

var basesBestFirst = []Basis{"", Reconciled, Reported, Partial, Counted, Calibrated, Bounded}

// Bases are all bases, the best first.
func Bases() []Basis { return slices.Clone(basesBestFirst[1:]) }

// Worst is the basis of a sum of two figures: the worse of theirs. One that is none
// of the bases is worse than all.
func Worst(a, b Basis) Basis {
	if b.rank() > a.rank() {
		return b
	}
	return a
}

func (b Basis) rank() int {
	if i := slices.Index(basesBestFirst, b); i >= 0 {
		return i
	}
	return len(basesBestFirst)
}

// Estimated says if the figure is not the provider's own final one.
func (b Basis) Estimated() bool { return b.rank() > Reported.rank() }

// Range is an estimate: 0 ≤ Low ≤ Point ≤ High.
type Range struct {
	Low   int64 `json:"low"`
	Point int64 `json:"point"`
	High  int64 `json:"high"`
}

// Exactly is the range of a figure that is known.
func Exactly(n int64) Range { return Range{n, n, n} }

// Plus is the range of a sum.
func (r Range) Plus(s Range) Range {
	return Range{r.Low + s.Low, r.Point + s.Point, r.High + s.High}
}

// AtMost is r where it is known that there are no more than n.
func (r Range) AtMost(n int64) Range {
	return Range{min(r.Low, n), min(r.Point, n), min(r.High, n)}
}

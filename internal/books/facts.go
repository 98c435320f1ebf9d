package books

import (
	"errors"
	"fmt"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// ErrInvalid is the error of facts and steps that contradict themselves.
var ErrInvalid = errors.New("books: invalid history")

// What a provider's bill does when its stream is cut (Facts.OnCancel).
const (
	BillingStops   = "billing_stops"
	BilledInFull   = "billed_in_full"
	BillingUnknown = "unknown"
)

// NoTerminal is Facts.Terminal of an attempt without a terminal event.
const NoTerminal = -1

// Facts are what is known of an attempt beside its timeline. Quantities are tokens.
type Facts struct {
	// Input is what is billed beside the output: disjoint kinds of input, and uses of
	// tools. No kind of output.
	Input map[token.Kind]int64 `json:"in,omitempty"`
	Rates pricing.Rates        `json:"rates,omitzero"`

	Output   int64 `json:"g"`               // G: all that is billed as output
	Hidden   int64 `json:"h,omitempty"`     // of Output: reasoning that no event shows
	AudioOut int64 `json:"audio,omitempty"` // of Output: billed at the rate of audio_out

	// Received is R, for an attempt that was cut. Nil: what is hidden and what was
	// received of the visible, at most Output. Ignored where nothing visible came.
	Received *int64 `json:"r,omitempty"`

	// Events is how many the attempt has in the log, now that it ended. Once it got its
	// terminal event, its outcomes wait for all of them.
	Events int `json:"n"`
	// Visible is the count of visible tokens up to and with each event. Nil: not
	// counted, and all sits on the terminal event, which is exact for an attempt that
	// was neither cut nor broken.
	Visible  []int64 `json:"v,omitempty"`
	Terminal int     `json:"term"` // index of the terminal event, or NoTerminal

	Streamed bool   `json:"sse,omitempty"`
	OnCancel string `json:"on_cancel,omitempty"` // BillingStops, BilledInFull or BillingUnknown
	// Reclaimable is evidence only: what it leads to is in the timeline.
	Reclaimable bool   `json:"reclaimable,omitempty"`
	Caching     string `json:"caching,omitempty"` // what the model caches: pricing.CachingAuto, …
	Marked      int64  `json:"marked,omitempty"`  // input that the request marked for caching
	Retry       bool   `json:"retry,omitempty"`   // the gateway's own retry made this attempt
}

// Bounds far beyond any attempt, so that sums of a few quantities can't overflow.
const (
	maxQuantity = 1 << 40
	maxSteps    = 1 << 20
)

func (f *Facts) validate() error {
	for kind, n := range f.Input {
		if kind.IsOutput() {
			return fmt.Errorf("%w: %s among the input", ErrInvalid, kind)
		}
		if !isQuantity(n) {
			return fmt.Errorf("%w: %d %s", ErrInvalid, n, kind)
		}
	}
	last := int64(0)
	for i, n := range f.Visible {
		if n < last || !isQuantity(n) {
			return fmt.Errorf("%w: %d visible tokens after event %d, %d before it", ErrInvalid, n, i, last)
		}
		last = n
	}
	switch {
	case !isQuantity(f.Output), !isQuantity(f.Hidden), !isQuantity(f.AudioOut), !isQuantity(f.Marked),
		f.Received != nil && !isQuantity(*f.Received):
		return fmt.Errorf("%w: output %d, hidden %d, audio %d, marked %d", ErrInvalid, f.Output, f.Hidden, f.AudioOut, f.Marked)
	case f.Events < 0, len(f.Visible) > f.Events, f.Terminal < NoTerminal, f.Terminal >= f.Events && f.Terminal != NoTerminal:
		return fmt.Errorf("%w: %d events, %d of them counted, terminal event %d", ErrInvalid, f.Events, len(f.Visible), f.Terminal)
	}
	return nil
}

func isQuantity(n int64) bool { return 0 <= n && n <= maxQuantity }

// visible is the count of visible tokens in the first n events.
func (f *Facts) visible(n int) int64 {
	if n = min(n, len(f.Visible)); n == 0 {
		return 0
	}
	return f.Visible[n-1]
}

// inputTokens is I: tools are fees, not tokens.
func (f *Facts) inputTokens() (sum int64) {
	for kind, n := range f.Input {
		if !kind.IsTool() {
			sum += n
		}
	}
	return sum
}

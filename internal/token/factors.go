package token

import (
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"time"
)

const (
	factorLow, factorHigh = 0.5, 3 // beyond these a factor is not believed
	fixedHigh             = 8      // tokens that providers were seen to add to any text

	startPerByte  = 0.25 // input tokens per byte of a request
	perByteLow    = 0.001
	perByteHigh   = 4  // input that is referred to, such as images, takes no bytes
	inputOverhead = 64 // tokens of a request's frame, at most

	perSecondHigh = 10_000

	leastCounted = 20                    // shorter texts are mostly the fixed part
	leastWait    = 50 * time.Millisecond // shorter ones make wild rates

	// outputLimit bounds hidden tokens where the request sets no limit. It is the
	// usual largest limit, 128 Ki; a model may have a higher one.
	outputLimit = 131_072

	// maxModels bounds the memory: ids are up to clients. Later ones teach nothing.
	maxModels = 1024
)

// Factors turns counts into estimates, by factors that it learns per model from
// attempts whose usage was reported. Each factor is a moving average that begins
// with a start value, gives it the weight of one sample, and later samples at least
// a tenth.
//
// The zero value is ready. It can be used concurrently, and stored as JSON.
type Factors struct {
	mu     sync.Mutex
	models map[string]*learnt
}

// learnt is what is known of a model.
type learnt struct {
	Visible map[Class]average `json:"visible,omitempty"`
	PerByte average           `json:"per_byte,omitzero"`
	Hidden  average           `json:"hidden_per_second,omitzero"`
}

type average struct {
	Value   float64 `json:"value"`
	Samples int64   `json:"samples"`
}

// with is the average with one more sample, each within low and high.
func (a average) with(sample, start, low, high float64) average {
	if a.Samples == 0 {
		a.Value = start
	}
	a.Samples++
	weight := max(1/float64(a.Samples+1), 0.1)
	a.Value += (min(max(sample, low), high) - a.Value) * weight
	return a
}

// Sample is what one reported attempt teaches. Members that are not positive teach
// nothing, but Hidden = 0 is known once a model has shown hidden tokens.
type Sample struct {
	Class   Class // of the visible text
	Counted int64 // visible tokens by Len or Cumulative; fewer than 20 teach nothing
	Visible int64 // visible tokens as reported: output without what was hidden

	BodyBytes int64 // of the request
	Input     int64 // reported, the whole of it

	Hidden int64         // reported, not shown
	Wait   time.Duration // from the response's head to its first visible text
}

// Learn takes a sample of a model.
func (f *Factors) Learn(model string, s Sample) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.models[model]
	if m == nil {
		if len(f.models) >= maxModels {
			return
		}
		if f.models == nil {
			f.models = map[string]*learnt{}
		}
		m = &learnt{Visible: map[Class]average{}}
		f.models[model] = m
	}
	if s.Counted >= leastCounted && s.Visible > 0 {
		factor := float64(s.Visible) / float64(s.Counted)
		m.Visible[s.Class] = m.Visible[s.Class].with(factor, startFactor(model), factorLow, factorHigh)
	}
	if s.BodyBytes > 0 && s.Input > 0 {
		m.PerByte = m.PerByte.with(float64(s.Input)/float64(s.BodyBytes), startPerByte, perByteLow, perByteHigh)
	}
	if s.Wait >= leastWait && (s.Hidden > 0 || m.Hidden.Samples > 0 && s.Hidden == 0) {
		rate := float64(s.Hidden) / s.Wait.Seconds()
		// The first sample is all there is: 0 is no guess to start with.
		m.Hidden = m.Hidden.with(rate, rate, 0, perSecondHigh)
	}
}

// known is a copy of what is known of a model.
func (f *Factors) known(model string, class Class) (visible, perByte, hidden average) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.models[model]; m != nil {
		return m.Visible[class], m.PerByte, m.Hidden
	}
	return average{}, average{}, average{}
}

// Factor returns reported visible tokens per counted one, and of how many samples
// that was learnt. For models that are counted exactly it is 1.
func (f *Factors) Factor(model string, class Class) (factor float64, samples int64) {
	visible, _, _ := f.known(model, class)
	if CountedExactly(model) || visible.Samples == 0 {
		return startFactor(model), visible.Samples
	}
	return visible.Value, visible.Samples
}

// Visible estimates the visible tokens that a provider counts in text of which
// counted were counted here. The basis is Counted or Calibrated. limit is the
// request's own one for output, 0 if it has none.
//
// A count is taken to be right to 2 %, at least 2 tokens. That is so of plain answers;
// what a provider's own tools put out and bill as output isn't in the text, can be far
// more, and is not within the bounds. Of a calibrated count they are those within
// which a factor is believed.
func (f *Factors) Visible(model string, class Class, counted, limit int64) (Range, Basis) {
	counted = max(counted, 0)
	var r Range
	basis := Calibrated
	if CountedExactly(model) {
		slack := max(2, counted/50)
		r, basis = Range{max(counted-slack, 0), counted, counted + slack}, Counted
	} else {
		factor, _ := f.Factor(model, class)
		r = Range{scaled(counted, factorLow), scaled(counted, factor), scaled(counted, factorHigh) + fixedHigh}
	}
	if limit > 0 {
		r = r.AtMost(limit)
	}
	return r, basis
}

// Input estimates the input tokens of a request by the size of its body. The basis is
// Bounded. High is a token for each byte and some for the frame: more than any text
// takes; but what the request only refers to (images by URL, files, stored prompts
// and conversations) can take more than that.
func (f *Factors) Input(model string, bodyBytes int64) Range {
	bodyBytes = max(bodyBytes, 0)
	_, perByte, _ := f.known(model, "")
	if perByte.Samples == 0 {
		perByte.Value = startPerByte
	}
	point := scaled(bodyBytes, perByte.Value)
	return Range{0, point, max(point, bodyBytes+inputOverhead)}
}

// Hidden estimates the hidden tokens of an attempt that waited d for its first visible
// text, or got none in d. The basis is Bounded. Nothing hidden is sure, so Low is 0;
// a Point above 0 takes a model that has shown hidden tokens. limit is the request's
// own one for output; if it is 0, High is 128 Ki, the usual limit of large models.
// Models that are known to hide nothing have none.
func (f *Factors) Hidden(model string, d time.Duration, limit int64) Range {
	if limit <= 0 {
		limit = outputLimit
	}
	if NeverHides(model) {
		return Range{}
	}
	_, _, hidden := f.known(model, "")
	point := int64(0)
	if hidden.Samples > 0 && d > 0 {
		point = int64(math.Round(min(hidden.Value*d.Seconds(), float64(limit))))
	}
	return Range{0, point, limit}
}

// scaled is n times factor, rounded; n ≥ 0.
func scaled(n int64, factor float64) int64 {
	return int64(math.Round(min(float64(n)*factor, 1<<62)))
}

// MarshalJSON implements json.Marshaler: all that was learnt.
func (f *Factors) MarshalJSON() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return json.Marshal(struct {
		Models map[string]*learnt `json:"models"`
	}{f.models})
}

// UnmarshalJSON implements json.Unmarshaler. It replaces all that was learnt, or
// nothing if there is an error. Values that could not have been learnt are an error.
func (f *Factors) UnmarshalJSON(data []byte) error {
	var stored struct {
		Models map[string]*learnt `json:"models"`
	}
	if err := json.Unmarshal(data, &stored); err != nil {
		return fmt.Errorf("token factors: %w", err)
	}
	if len(stored.Models) > maxModels {
		return fmt.Errorf("token factors: %d models, at most %d", len(stored.Models), maxModels)
	}
	for id, m := range stored.Models {
		if m == nil {
			return fmt.Errorf("token factors: nothing of %q", id)
		}
		if m.Visible == nil {
			m.Visible = map[Class]average{}
		}
		ok := m.PerByte.within(perByteLow, perByteHigh) && m.Hidden.within(0, perSecondHigh)
		for _, a := range m.Visible {
			ok = ok && a.within(factorLow, factorHigh)
		}
		if !ok {
			return fmt.Errorf("token factors: those of %q are out of range", id)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.models = stored.Models
	return nil
}

func (a average) within(low, high float64) bool {
	return a.Samples == 0 || a.Samples > 0 && a.Value >= low && a.Value <= high
}

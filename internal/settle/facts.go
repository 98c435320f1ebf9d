package settle

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// unlimited is how long an answer can be where the call doesn't say, in tokens:
// what the models of this time can at most.
const unlimited = 128_000

// believable is the most tokens that an attempt can have. What a provider reports
// beyond is nonsense, as is what a client allows it, and could not be booked.
const believable = 1 << 25

// Evidence is what stands behind a posting, and is stored with it: enough to
// reckon it again, with other figures where the provider's bill has some.
type Evidence struct {
	History  books.History `json:"history"`
	Input    token.Range   `json:"input"`  // estimated, or the same thrice
	Output   token.Range   `json:"output"` // likewise
	Bases    Bases         `json:"basis"`
	Unpriced string        `json:"unpriced,omitempty"` // why there is no price
	Stated   string        `json:"stated,omitempty"`   // the cost as the provider states it, in US dollars
	Factor   float64       `json:"factor,omitempty"`   // reported per counted token, where that was used
	Samples  int64         `json:"samples,omitempty"`  // answers that it was learnt from

	// Listed are the rates by which the attempt was posted first, if those of the
	// history came later: what they make a difference of is price variance.
	Listed *pricing.Rates `json:"listed,omitzero"`

	shown bool // the reasoning, so none of it is hidden
}

// Bases say what the figures of input and output rest on.
type Bases struct {
	Input  token.Basis `json:"input"`
	Output token.Basis `json:"output"`
}

// billed reports whether the provider can have billed the attempt at all.
// Refusals are free, but for a prompt that is billed to be filtered; so is what never reached it. What failed inside the
// provider, or whose answer never came, may have been billed.
func (r *reading) billed() bool {
	switch {
	case r.head == nil:
		return r.end == nil || r.end.Cause != causeUnreachable
	case r.head.Status/100 == 2, r.head.Status >= http.StatusInternalServerError, r.head.Status == http.StatusRequestTimeout:
		return true
	}
	return r.filtered()
}

// evidence is what the provider bills for the attempt, as it reported it, or
// else as it can be estimated, with what happened to it. An answer that need not
// be counted is, if something is to be learnt from it.
func (s *Settler) evidence(l *streamlog.Stream, r *reading, learn bool) (*Evidence, error) {
	e := &Evidence{}
	f := &e.History.Facts
	f.Events, f.Terminal, f.Streamed = r.events, r.terminal, r.header.Streamed
	f.OnCancel, f.Reclaimable = r.header.Policy.OnCancel, r.header.Policy.Reclaimable
	var c counted
	if r.mustCount() || learn && s.samples.want(r) {
		var err error
		if c, err = count(l, r); err != nil {
			return nil, err
		}
		f.Visible = c.visible
	}
	e.shown = c.thought
	s.output(e, r, c)
	if r.terminal < 0 {
		received := f.Output // what is billed beyond that is for the bill to say
		f.Received = &received
	}
	s.input(e, r)
	rates, reason := s.rates(r, f)
	f.Rates, f.Caching, e.Unpriced = rates, rates.Caching(), string(reason)
	if f.Caching == pricing.CachingMarked {
		f.Marked = r.usage.CacheRead.Or(0) + r.usage.CacheWrite5m.Or(0) + r.usage.CacheWrite1h.Or(0)
	}
	if cost, err := pricing.ParseDollars(r.usage.CostUSD); err == nil && r.usage.CostUSD != "" {
		e.Stated = cost.String()
	}
	if learn {
		s.learn(r, c)
	}
	return e, nil
}

// mustCount reports whether it matters where in the answer a token stands: not
// where the provider has reported all and one connection was given all.
func (r *reading) mustCount() bool {
	if r.head == nil || r.head.Status/100 != 2 {
		return false
	}
	if !r.final || r.end == nil || r.end.State != streamlog.Completed || r.damaged != nil {
		return true
	}
	if !r.header.Streamed {
		return false // all of it sits on the last byte
	}
	for _, step := range r.steps {
		switch {
		case step.Do == books.Attach && step.Conn != r.first && !step.Observe, step.Do == books.Kill, step.Do == books.Cancel:
			return true
		case step.Do == books.Write && step.Conn == r.first && step.To > r.terminal:
			return false
		case step.Do == books.Detach && step.Conn == r.first:
			return true
		}
	}
	return false // the first connection still reads
}

// output finds G and H.
func (s *Settler) output(e *Evidence, r *reading, c counted) {
	f := &e.History.Facts
	if n, ok := r.usage.Output.Get(); ok && r.final {
		f.Output, e.Output, e.Bases.Output = n, token.Exactly(n), token.Reported
		f.AudioOut = min(r.usage.AudioOut.Or(0), n)
		if !c.thought {
			f.Hidden = min(r.usage.Reasoning.Or(0), n)
		}
		return
	}
	if r.filtered() {
		e.Bases.Output = token.Bounded // nothing: the model was not asked
		return
	}
	if r.head == nil || r.head.Status/100 != 2 {
		// It may have generated something and thrown it away.
		e.Output, e.Bases.Output = token.Range{High: s.limit(r)}, token.Bounded
		return
	}
	visible, basis := s.factors.Visible(r.model(), c.class, c.total, 0)
	e.Factor, e.Samples = s.factors.Factor(r.model(), c.class)
	hidden := token.Range{}
	if !c.thought {
		hidden = s.factors.Hidden(r.model(), r.waited(), s.limit(r))
	}
	e.Output = visible.Plus(hidden)
	if hidden.Point > 0 || c.short {
		basis = token.Bounded
	}
	if n, ok := r.usage.Output.Get(); ok { // running usage, as of the cut
		e.Output, basis = token.Range{Low: n, Point: n}, token.Partial
		hidden.Point = 0
		if !c.thought {
			hidden.Point = min(r.usage.Reasoning.Or(0), n)
		}
	}
	// Nobody can rule out what was generated and not seen: hidden reasoning, and
	// what came after the last event.
	e.Output.High = max(s.limit(r), e.Output.Point)
	e.Bases.Output = basis
	f.Output, f.Hidden = e.Output.Point, hidden.Point
}

// limit is how much output the attempt can have at most.
func (s *Settler) limit(r *reading) int64 {
	n := min(r.header.MaxTokens, believable)
	if n <= 0 {
		n = unlimited
	}
	return min(n*int64(min(max(r.header.Choices, 1), believable)), believable)
}

// waited is the time in which the provider can have thought: until it showed
// something, or was cut.
func (r *reading) waited() time.Duration {
	from, to := r.head.At, r.firstText
	if !r.header.Streamed {
		from = r.attempt.Started
	}
	if to.IsZero() && r.end != nil {
		to = r.end.At
	}
	return max(to.Sub(from), 0)
}

// input finds what was billed for the request. It is booked when the provider
// has accepted it, which a response head says.
func (s *Settler) input(e *Evidence, r *reading) {
	f := &e.History.Facts
	f.Input = map[token.Kind]int64{}
	total, known := r.usage.InputTotal().Get()
	if !known {
		e.Input, e.Bases.Input = s.factors.Input(r.model(), r.header.BodyBytes).AtMost(believable), token.Bounded
		if r.head == nil || r.head.Status/100 != 2 && !r.filtered() {
			e.Input.Low, e.Input.Point = 0, 0
		}
		f.Input[token.Input] = e.Input.Point
		return
	}
	e.Input, e.Bases.Input = token.Exactly(total), token.Reported
	if !r.final {
		e.Bases.Input = token.Partial
	}
	u := r.usage
	audio := min(u.AudioIn.Or(0), u.Input.Or(0))
	for kind, n := range map[token.Kind]int64{
		token.Input: u.Input.Or(0) - audio, token.AudioIn: audio, token.CacheRead: u.CacheRead.Or(0),
		token.CacheWrite5m: u.CacheWrite5m.Or(0), token.CacheWrite1h: u.CacheWrite1h.Or(0),
	} {
		if n > 0 {
			f.Input[kind] = n
		}
	}
	for _, name := range slices.Sorted(maps.Keys(u.Tools)) {
		if n := u.Tools[name]; n > 0 {
			f.Input[tool(name, len(f.Input))] += n
		}
	}
}

// maxKinds and maxName bound what providers can put into accounts: they name the
// tools.
const (
	maxKinds = 32
	maxName  = 64
)

// tool is the kind of a tool's uses, in a bill that has so many other kinds.
func tool(name string, kinds int) token.Kind {
	if kinds >= maxKinds || len(name) > maxName || strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }) {
		name = Other
	}
	return token.Tool(name)
}

// rates are what the provider's model cost when the call was accepted, by the
// book as it is known now.
func (s *Settler) rates(r *reading, f *books.Facts) (pricing.Rates, pricing.Reason) {
	q := pricing.Query{
		Provider: r.header.Provider, Model: r.model(), At: r.header.Accepted, KnownAt: s.now(), ServiceTier: r.usage.ServiceTier,
	}
	if q.ServiceTier == "" {
		q.ServiceTier = r.header.ServiceTier
	}
	for kind, n := range f.Input {
		if !kind.IsTool() {
			q.InputTokens += n
		}
	}
	return s.book.Load().Rates(q)
}

// read reads a stream's history, and finds the model in the price book.
func (s *Settler) read(l *streamlog.Stream) (*reading, error) {
	r, err := read(l)
	if err != nil {
		return nil, err
	}
	if _, ok := s.book.Load().Resolve(r.header.Provider, r.model()); !ok {
		if _, ok := s.book.Load().Resolve(r.header.Provider, r.header.Model); ok {
			r.asked = true // some answer with a name of their own
		}
	}
	return r, nil
}

// model is the one that the provider says it used, else the one it was asked for.
func (r *reading) model() string {
	if r.asked {
		return r.header.Model
	}
	if r.end != nil && r.end.Model != "" {
		return r.end.Model
	}
	if r.seen != nil && r.seen.Model() != "" {
		return r.seen.Model()
	}
	return r.header.Model
}

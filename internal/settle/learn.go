package settle

import (
	"sync"
	"time"

	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/internal/token"
)

const (
	firstSamples = 20 // of each model are all counted, to learn from
	everySample  = 64 // and then one in so many
)

// samples choose the answers that are counted only to learn from them.
type samples struct {
	mu   sync.Mutex
	seen map[string]int // by model
}

// want reports whether an answer whose length the provider has reported is to be
// counted nevertheless.
func (s *samples) want(r *reading) bool {
	model := r.model()
	if !r.final || r.end == nil || r.end.State != streamlog.Completed || token.CountedExactly(model) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]int{}
	}
	n := s.seen[model]
	if n > 0 || len(s.seen) < maxModels {
		s.seen[model] = n + 1
	}
	return n < firstSamples || n%everySample == 0
}

// maxModels bounds what is remembered of models: clients choose their names.
const maxModels = 1000

// learn takes from a complete and reported answer what helps to estimate others.
func (s *Settler) learn(r *reading, c counted) {
	if !r.final || r.end == nil || r.end.State != streamlog.Completed || r.damaged != nil {
		return
	}
	output, _ := r.usage.Output.Get()
	s.densities.learn(s.Label(r.header.Provider, r.model()), output, r.bytes)
	sample := token.Sample{Class: c.class, BodyBytes: r.header.BodyBytes, Input: r.usage.InputTotal().Or(0)}
	hidden := r.usage.Reasoning.Or(0)
	if c.thought {
		hidden = 0
	}
	if c.total > 0 && !c.short {
		sample.Counted, sample.Visible = c.total, output-hidden
	}
	if hidden > 0 && r.header.Streamed && !r.firstText.IsZero() {
		sample.Hidden, sample.Wait = hidden, max(r.firstText.Sub(r.head.At), time.Millisecond)
	}
	s.factors.Learn(r.model(), sample)
}

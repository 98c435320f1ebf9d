package settle

import (
	"sync"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// startDensity is how many output tokens a byte of an answer holds, before
// answers have told: events of one token each are about this long.
const startDensity = 1.0 / 220

// densities are learnt from answers whose length the provider has reported.
// They serve for what has not ended yet, where counting would cost too much.
type densities struct {
	mu sync.Mutex
	of map[string]float64 // by label of the model
}

func (d *densities) learn(label string, tokens, bytes int64) {
	if tokens <= 0 || bytes <= 0 {
		return
	}
	const weight = 0.1
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == nil {
		d.of = map[string]float64{}
	}
	now := float64(tokens) / float64(bytes)
	if was, ok := d.of[label]; ok {
		now = was + weight*(now-was)
	}
	d.of[label] = now
}

func (d *densities) get(label string) float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v, ok := d.of[label]; ok {
		return v
	}
	return startDensity
}

// Guess is about how many output tokens an answer that is under way has cost so
// far, and how much money, by its bytes. Input is not in it.
func (s *Settler) Guess(provider, model string, bytes int64) (tokens int64, cost pricing.Picodollars, priced bool) {
	tokens = int64(float64(bytes) * s.densities.get(s.Label(provider, model)))
	rates, _ := s.book.Load().Rates(pricing.Query{Provider: provider, Model: model, At: s.now()})
	rate, priced := rates.Of(token.Output)
	if priced {
		cost, _ = rate.Times(tokens) // what doesn't fit is nothing that could be at risk
	}
	return tokens, cost, priced
}

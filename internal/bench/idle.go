package bench

import (
	"context"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// IdleResult is what an open stream costs that has sent a few events and then
// waits for its provider. Each has a client.
type IdleResult struct {
	Target    string  `json:"target"`
	Streams   int     `json:"streams"`
	RSS       float64 `json:"rss_kib_per_stream"`
	Anonymous float64 `json:"anonymous_kib_per_stream"` // of it, what no file backs
	Base      float64 `json:"rss_mib_before"`
}

const (
	idleEvents = 5
	warmUp     = 32          // streams that a process gets before it is weighed
	idleSettle = time.Second // from the last event to the weighing
)

// idle weighs each process with and without open streams.
func (r *runner) idle(ctx context.Context, s *site) ([]IdleResult, error) {
	a, err := expect(ctx, s.direct, simulator.Script{Tokens: 50, StallAfterEvents: idleEvents})
	if err != nil {
		return nil, err
	}
	var results []IdleResult
	for _, t := range s.targets()[1:] {
		r.say("idle, %d streams: %s", r.plan.idleStreams, t.name)
		if _, err := r.hold(ctx, t, a, warmUp); err != nil {
			return nil, err
		}
		if err := sleep(ctx, settleTime); err != nil {
			return nil, err
		}
		before := t.proc.usage()
		if !before.known {
			continue
		}
		after, err := r.hold(ctx, t, a, r.plan.idleStreams)
		if err != nil {
			return nil, err
		}
		per := func(after, before int64) float64 { return float64(after-before) / 1024 / float64(r.plan.idleStreams) }
		results = append(results, IdleResult{
			Target: t.name, Streams: r.plan.idleStreams, RSS: per(after.rss, before.rss), Anonymous: per(after.anon, before.anon),
			Base: float64(before.rss) / (1 << 20),
		})
	}
	return results, nil
}

// hold opens n streams, waits until each has its events, and returns what the
// process then has. The streams end with their clients.
func (r *runner) hold(ctx context.Context, t *target, a *answers, n int) (usage, error) {
	l := &load{target: t, answers: a, streams: n, repeat: 1, hold: idleEvents}
	var u usage
	err := l.run(ctx, func() {
		if sleep(ctx, idleSettle) == nil {
			u = t.proc.usage()
		}
	})
	r.verified.add(0, l.events.Load(), l.bytes.Load())
	return u, err
}

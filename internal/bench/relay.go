package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// Names of the targets.
const (
	nameDirect  = "no proxy"
	nameProxy   = "reverse proxy"
	nameGateway = "recoup gateway"
)

// RelayResult is what one target did under one load, as medians of the rounds.
// CPU is that of the target's process alone; of no proxy there is none.
type RelayResult struct {
	Load            string  `json:"load"`
	Target          string  `json:"target"`
	EventsPerSecond float64 `json:"events_per_second"`
	CPUPerThousand  float64 `json:"cpu_ms_per_1000_events,omitempty"`
	P50             float64 `json:"latency_p50_ms,omitempty"` // from provider to client
	P99             float64 `json:"latency_p99_ms,omitempty"`
	AddedP50        float64 `json:"added_p50_ms,omitempty"` // against no proxy, in the same round
	AddedP99        float64 `json:"added_p99_ms,omitempty"`

	rounds []relayRound
}

type relayRound struct {
	perSecond, cpu float64
	p50, p99       float64
}

const (
	loadFlatOut = "flat out"
	loadPaced   = "paced"

	pacedPerSecond = 50 // events of each stream
	// settleTime is what a process gets to finish what it has put off: that counts too.
	settleTime = 200 * time.Millisecond
)

// site is the provider with what stands in front of it.
type site struct {
	direct, proxy, gateway *target
	procs                  []*process
}

func (s *site) targets() []*target { return []*target{s.direct, s.proxy, s.gateway} }

func (r *runner) startSite(ctx context.Context) (_ *site, err error) {
	if r.opts.Command == nil {
		return nil, errors.New("bench: no command for child processes")
	}
	s := &site{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	up := func(role string, args ...string) (*process, error) {
		p, err := start(ctx, role, r.opts.Command(role, args...))
		if err == nil {
			s.procs = append(s.procs, p)
		}
		return p, err
	}
	provider, err := up(RoleProvider)
	if err != nil {
		return nil, err
	}
	proxy, err := up(RoleProxy, provider.url)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(r.dir, "gateway-")
	if err != nil {
		return nil, err
	}
	gateway, err := up(RoleGateway, provider.url, dir)
	if err != nil {
		return nil, err
	}
	s.direct, s.proxy, s.gateway = newTarget(nameDirect, provider), newTarget(nameProxy, proxy), newTarget(nameGateway, gateway)
	return s, nil
}

// stop ends clients first, so that no server waits for them; the provider last.
func (s *site) stop() error {
	var errs []error
	for _, t := range s.targets() {
		if t != nil {
			t.client.CloseIdleConnections()
		}
	}
	for i := len(s.procs) - 1; i >= 0; i-- {
		errs = append(errs, s.procs[i].stop())
	}
	return errors.Join(errs...)
}

// network runs what needs the child processes.
func (r *runner) network(ctx context.Context, rep *Report, relay, idle bool) (err error) {
	s, err := r.startSite(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if idle { // first, while the processes are fresh
		if rep.Idle, err = r.idle(ctx, s); err != nil {
			return fmt.Errorf("idle: %w", err)
		}
	}
	if relay {
		if rep.Relay, err = r.relay(ctx, s); err != nil {
			return fmt.Errorf("relay: %w", err)
		}
	}
	return nil
}

// relay drives all targets in turns.
func (r *runner) relay(ctx context.Context, s *site) ([]RelayResult, error) {
	flatOut, err := expect(ctx, s.direct, simulator.Script{Tokens: r.plan.flatOutEvents})
	if err != nil {
		return nil, err
	}
	length := r.pacedLead() + r.plan.pacedTime + pacedTail
	paced, err := expect(ctx, s.direct, simulator.Script{
		Tokens: int(length.Seconds() * pacedPerSecond), Interval: time.Second / pacedPerSecond, Stamp: true,
	})
	if err != nil {
		return nil, err
	}
	kinds := []struct {
		name string
		run  func(context.Context, *target) (relayRound, error)
	}{
		{loadFlatOut, func(ctx context.Context, t *target) (relayRound, error) { return r.flatOut(ctx, t, flatOut) }},
		{loadPaced, func(ctx context.Context, t *target) (relayRound, error) { return r.paced(ctx, t, paced) }},
	}
	var results []RelayResult
	for _, k := range kinds {
		of := make([]RelayResult, len(s.targets()))
		for round := range r.plan.rounds {
			for i := range of {
				i = (i + round) % len(of)
				t := s.targets()[i]
				r.say("relay, %s, round %d of %d: %s", k.name, round+1, r.plan.rounds, t.name)
				stop := r.profile(ctx, t, k.name, round)
				one, err := k.run(ctx, t)
				if err := errors.Join(err, stop()); err != nil {
					return nil, fmt.Errorf("%s: %w", k.name, err)
				}
				of[i].Load, of[i].Target = k.name, t.name
				of[i].rounds = append(of[i].rounds, one)
			}
		}
		results = append(results, summarize(of)...)
	}
	return results, nil
}

// summarize takes the medians. The first result is that of no proxy.
func summarize(of []RelayResult) []RelayResult {
	for i := range of {
		res := &of[i]
		res.EventsPerSecond = medianOf(res.rounds, func(a relayRound) float64 { return a.perSecond })
		res.P50 = medianOf(res.rounds, func(a relayRound) float64 { return a.p50 })
		res.P99 = medianOf(res.rounds, func(a relayRound) float64 { return a.p99 })
		if i == 0 {
			continue
		}
		res.CPUPerThousand = medianOf(res.rounds, func(a relayRound) float64 { return a.cpu })
		var p50, p99 []float64
		for k, a := range res.rounds {
			p50 = append(p50, a.p50-of[0].rounds[k].p50)
			p99 = append(p99, a.p99-of[0].rounds[k].p99)
		}
		res.AddedP50, res.AddedP99 = median(p50), median(p99)
	}
	return of
}

// flatOut is a fixed number of streams as fast as they come.
func (r *runner) flatOut(ctx context.Context, t *target, a *answers) (relayRound, error) {
	l := &load{target: t, answers: a, streams: r.plan.flatOutStreams, repeat: r.plan.flatOutRepeat}
	before, began := t.proc.usage(), time.Now()
	err := l.run(ctx, nil)
	elapsed := time.Since(began)
	if err != nil {
		return relayRound{}, err
	}
	if err := sleep(ctx, settleTime); err != nil {
		return relayRound{}, err
	}
	after, n := t.proc.usage(), float64(l.events.Load())
	return relayRound{perSecond: n / elapsed.Seconds(), cpu: ratio((after.cpu-before.cpu).Seconds()*1e6, n)}, r.done(l)
}

// pacedTail is how long paced streams go on after they have been measured.
const pacedTail = 300 * time.Millisecond

// pacedLead is the time from the first paced stream to the measurement: they
// start one by one, so that their events don't come all at once, and then
// settle.
func (r *runner) pacedLead() time.Duration {
	return time.Duration(r.plan.pacedStreams)*pacedStagger + 300*time.Millisecond
}

const pacedStagger = time.Millisecond

// paced is many streams at the speed of a model. Measured is a window in which
// all of them are under way.
func (r *runner) paced(ctx context.Context, t *target, a *answers) (relayRound, error) {
	l := &load{target: t, answers: a, streams: r.plan.pacedStreams, stagger: pacedStagger, repeat: 1}
	began := time.Now()
	var one relayRound
	err := l.run(ctx, func() {
		if sleep(ctx, time.Until(began.Add(r.pacedLead()))) != nil {
			return
		}
		before, from, events := t.proc.usage(), time.Now(), l.events.Load()
		l.measuring.Store(true)
		_ = sleep(ctx, r.plan.pacedTime) // if ctx ends, so does the run
		l.measuring.Store(false)
		n, elapsed := float64(l.events.Load()-events), time.Since(from)
		one.perSecond = n / elapsed.Seconds()
		one.cpu = ratio((t.proc.usage().cpu-before.cpu).Seconds()*1e6, n)
	})
	if err != nil {
		return relayRound{}, err
	}
	one.p50 = float64(quantile(l.latencies, .5)) / 1e6
	one.p99 = float64(quantile(l.latencies, .99)) / 1e6
	return one, r.done(l)
}

// done counts what a load has checked.
func (r *runner) done(l *load) error {
	if want := int64(l.streams * l.repeat); l.whole.Load() != want {
		return fmt.Errorf("%w: %d streams of %d came whole", ErrDiffers, l.whole.Load(), want)
	}
	r.verified.add(l.whole.Load(), l.events.Load(), l.bytes.Load())
	return nil
}

// profile writes a CPU profile of the gateway while it is driven, if wanted.
func (r *runner) profile(ctx context.Context, t *target, load string, round int) (stop func() error) {
	if r.opts.ProfileDir == "" || t.name != nameGateway || t.proc.admin == "" {
		return func() error { return nil }
	}
	d := time.Second // a profile has whole seconds, and a round flat out is hardly longer
	if load != loadFlatOut {
		d = r.pacedLead() + r.plan.pacedTime
	}
	done := make(chan error, 1)
	go func() {
		name := fmt.Sprintf("%s-%d.pprof", strings.NewReplacer(" ", "-", ",", "").Replace(load), round)
		f, err := os.Create(filepath.Join(r.opts.ProfileDir, name))
		if err == nil {
			err = errors.Join(t.proc.profile(ctx, d, f), f.Close())
		}
		done <- err
	}()
	return func() error { return <-done }
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

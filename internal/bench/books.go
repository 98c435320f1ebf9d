package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

const (
	nameUnbooked = "without books"
	loadWhole    = "paced, to the end"

	// postedTime is what a gateway gets to settle what has ended: that is what is
	// measured.
	postedTime = time.Second
)

// books drives two gateways in turns with whole answers at the speed of a model:
// one that keeps books, and one that doesn't. All CPU counts, from the first
// call to the last posting.
func (r *runner) books(ctx context.Context) (_ []RelayResult, err error) {
	if r.opts.Command == nil {
		return nil, errors.New("bench: no command for child processes")
	}
	s := &site{}
	defer func() { err = errors.Join(err, s.stop()) }()
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
	s.direct = newTarget(nameDirect, provider)
	for _, g := range []struct {
		role string
		name string
		to   **target
	}{{RoleUnbooked, nameUnbooked, &s.proxy}, {RoleGateway, nameGateway, &s.gateway}} {
		dir, err := os.MkdirTemp(r.dir, "gateway-")
		if err != nil {
			return nil, err
		}
		p, err := up(g.role, provider.url, dir)
		if err != nil {
			return nil, err
		}
		*g.to = newTarget(g.name, p)
	}
	script := simulator.Script{Tokens: int(r.plan.pacedTime.Seconds() * pacedPerSecond), Interval: time.Second / pacedPerSecond}
	a, err := expect(ctx, s.direct, script)
	if err != nil {
		return nil, err
	}
	of := []RelayResult{{Load: loadWhole, Target: nameUnbooked}, {Load: loadWhole, Target: nameGateway}}
	targets := []*target{s.proxy, s.gateway}
	for round := range r.plan.rounds {
		for i := range of {
			i = (i + round) % len(of)
			r.say("books, round %d of %d: %s", round+1, r.plan.rounds, targets[i].name)
			stop := r.profile(ctx, targets[i], loadWhole, round)
			one, err := r.whole(ctx, targets[i], a)
			if err := errors.Join(err, stop()); err != nil {
				return nil, fmt.Errorf("%s: %w", targets[i].name, err)
			}
			of[i].rounds = append(of[i].rounds, one)
		}
	}
	for i := range of {
		of[i].EventsPerSecond = medianOf(of[i].rounds, func(a relayRound) float64 { return a.perSecond })
		of[i].CPUPerThousand = medianOf(of[i].rounds, func(a relayRound) float64 { return a.cpu })
	}
	return of, nil
}

// whole is many answers from their first call to their last posting.
func (r *runner) whole(ctx context.Context, t *target, a *answers) (relayRound, error) {
	l := &load{target: t, answers: a, streams: r.plan.pacedStreams, stagger: pacedStagger, repeat: 1}
	before, began := t.proc.usage(), time.Now()
	if err := l.run(ctx, nil); err != nil {
		return relayRound{}, err
	}
	elapsed := time.Since(began)
	if err := sleep(ctx, postedTime); err != nil {
		return relayRound{}, err
	}
	n := float64(l.events.Load())
	return relayRound{perSecond: n / elapsed.Seconds(), cpu: ratio((t.proc.usage().cpu-before.cpu).Seconds()*1e6, n)}, r.done(l)
}

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// regular is an agent of the traffic: it plays one plan after the other, and what
// fails it asks for again, as a program would that is started anew.
type regular struct {
	*client
	traffic  *traffic
	random   *rand.Rand // of its pauses
	deployed bool       // a deploy concerns it
}

func newRegular(t *traffic, number int) *regular {
	team := number % len(teams)
	r := &regular{
		client: newClient(t.url, fmt.Sprintf("sk-regular-%02d", number)), traffic: t,
		random:   rand.New(rand.NewPCG(t.Seed, uint64(number))),
		deployed: team < len(teams)-1,
	}
	r.prefix, r.tags = t.prefix, "team="+teams[team]
	return r
}

const (
	jobTime  = 5 * time.Minute // a job that takes longer is given up: something hangs
	maxTries = 5               // of one call
)

var errGivenUp = errors.New("it failed too often")

// work plays plans until there are no more, or ctx ends.
func (r *regular) work(ctx context.Context) error {
	defer r.close()
	for {
		if err := r.awaitGateway(ctx); err != nil {
			return err
		}
		number, ok := r.traffic.next()
		if !ok {
			return nil
		}
		p := job(regulars, number, r.traffic.Seed, r.traffic.run)
		limited, cancel := context.WithTimeoutCause(ctx, jobTime, errGivenUp)
		err := r.play(limited, &agent{plan: p, client: r.client})
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			r.traffic.givenUp.Add(1)
			r.traffic.Logger.Warn("an answer is given up", "agent", p.name(), "model", p.model, "error", err)
		}
		if err := sleep(ctx, around(r.random, r.traffic.Pace.Rest)); err != nil {
			return err
		}
	}
}

// play makes all calls of a plan, as agent.work does on the stage.
func (r *regular) play(ctx context.Context, a *agent) error {
	last := a.calls - 1
	for call := range last {
		if err := r.finish(ctx, a, call, a.tooling(call+1)); err != nil {
			return err
		}
	}
	switch a.fate {
	case steady:
		return r.finish(ctx, a, last, a.script())
	case upstream:
		s := a.script()
		if s.ErrorAfterEvents = a.stop; a.number%2 == 0 {
			s = simulator.Script{Status: http.StatusServiceUnavailable}
		}
		return r.finish(ctx, a, last, s)
	}
	return r.leave(ctx, a)
}

// leave reads a part of the last answer, and is gone.
func (r *regular) leave(ctx context.Context, a *agent) error {
	last := a.calls - 1
	reading, stop := r.reading(ctx)
	answer, err := r.ask(reading, a, last, a.script())
	if err == nil {
		if err = answer.upTo(a.stop); err == nil && a.fate == cancels {
			err = a.cancel(reading, answer)
			if err == nil {
				r.traffic.cancelled.Add(1)
			}
		}
		answer.end()
	}
	r.note(reading)
	stop()
	switch {
	case a.fate == cancels && err == nil:
		return nil
	case a.fate == away:
		r.traffic.left.Add(1)
		return nil
	}
	if err := sleep(ctx, around(r.random, r.traffic.Pace.Away)); err != nil {
		return err
	}
	if a.fate == byID && answer != nil {
		if rest, err := a.rest(ctx, answer); err == nil && rest.whole() == nil {
			r.traffic.resumed.Add(1)
			r.traffic.read.Add(1)
			return nil
		}
		// It comes too late, or the gateway was gone in between. The key still works.
	}
	return r.finish(ctx, a, last, a.script())
}

// finish makes a call until its answer was read to the end. Only the first time the
// provider is told what s says; then it just answers.
func (r *regular) finish(ctx context.Context, a *agent, call int, s simulator.Script) error {
	var err error
	for failed := 0; failed < maxTries; {
		if err = r.readWhole(ctx, a, call, s); err == nil {
			r.traffic.read.Add(1)
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		pause := r.traffic.Pace.Away
		if !errors.Is(err, errDeploy) {
			pause = r.traffic.Pace.Retry
			failed++
		}
		if err := sleep(ctx, around(r.random, pause)); err != nil {
			return err
		}
		if err := r.awaitGateway(ctx); err != nil {
			return err
		}
		s.ErrorAfterEvents, s.Status = 0, 0
		if s.Tokens == 0 {
			s = a.script()
		}
	}
	return fmt.Errorf("%w: %w", errGivenUp, err)
}

func (r *regular) readWhole(ctx context.Context, a *agent, call int, s simulator.Script) error {
	reading, stop := r.reading(ctx)
	defer stop()
	answer, err := r.ask(reading, a, call, s)
	if err == nil {
		err = answer.whole()
	}
	if err != nil && r.note(reading) {
		return errDeploy
	}
	return err
}

// reading is ctx, until a deploy if that concerns it.
func (r *regular) reading(ctx context.Context) (context.Context, context.CancelFunc) {
	if !r.deployed {
		return context.WithCancel(ctx)
	}
	return r.traffic.deploys.until(ctx)
}

// note counts a deploy that has ended ctx.
func (r *regular) note(ctx context.Context) bool {
	if context.Cause(ctx) != errDeploy {
		return false
	}
	r.traffic.cut.Add(1)
	return true
}

// ask makes a call of a plan, at the traffic's pace.
func (r *regular) ask(ctx context.Context, a *agent, call int, s simulator.Script) (*answer, error) {
	s.Interval = r.traffic.Pace.Interval
	answer, err := r.client.ask(ctx, a.bodies[call], a.key(call), s)
	resumed := ""
	if no := (*refused)(nil); errors.As(err, &no) {
		resumed = no.resumed
	} else if err == nil {
		resumed = answer.resumed
	}
	switch {
	case resumed == "": // the gateway did not get as far
	case strings.HasPrefix(resumed, "no"):
		r.traffic.bought.Add(1)
	default:
		r.traffic.resumed.Add(1)
	}
	return answer, err
}

// awaitGateway returns when the gateway answers, or ctx ends. What it is asked for
// concerns no provider.
func (r *regular) awaitGateway(ctx context.Context) error {
	for {
		answer, err := r.do(ctx, http.MethodGet, "/recoup/streams?limit=1", nil, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, answer.body)
			answer.end()
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.traffic.heard(err)
		if err == nil {
			return nil
		}
		if err := sleep(ctx, r.traffic.Pace.Retry); err != nil {
			return err
		}
	}
}

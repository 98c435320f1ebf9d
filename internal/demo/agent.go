package demo

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// agent plays a plan.
type agent struct {
	*plan
	*client
	stage *stage
}

// play makes all calls. The error says what was not as it should be.
func (a *agent) play(ctx context.Context) error {
	defer a.close()
	if err := a.work(ctx); err != nil {
		return fmt.Errorf("%s (%s, %s): %w", a.name(), a.model, a.fate, err)
	}
	a.stage.finished.Add(1)
	return nil
}

func (a *agent) work(ctx context.Context) error {
	for call := range a.calls - 1 {
		answer, err := a.ask(ctx, a.bodies[call], a.key(call), a.tooling(call+1))
		if err == nil {
			err = answer.whole()
		}
		if err != nil {
			return err
		}
	}
	answer, err := a.ask(ctx, a.bodies[a.calls-1], a.key(a.calls-1), a.provider)
	if err != nil {
		return err
	}
	defer answer.end()
	switch a.fate {
	case steady:
		return answer.whole()
	case cancels:
		if err := answer.upTo(a.stop); err != nil {
			return err
		}
		return a.cancel(ctx, answer)
	case upstream:
		if answer.whole() == nil {
			return errors.New("the provider was to fail, and did not")
		}
		return a.again(ctx)
	case killed:
		return a.survive(ctx, answer)
	}
	return a.beCut(ctx, answer)
}

// key is the Idempotency-Key of a call: stable, so that the agent can be started
// anew and still find its answers.
func (a *agent) key(call int) string {
	if a.fate == keyless {
		return ""
	}
	return fmt.Sprintf("%s:step-%d", a.name(), call+1)
}

// again makes the last call once more. It gets the same answer, or a new one.
func (a *agent) again(ctx context.Context) error {
	answer, err := a.ask(ctx, a.bodies[a.calls-1], a.key(a.calls-1), a.script())
	if err != nil {
		return err
	}
	return answer.whole()
}

// beCut is what the deploy does to an agent: its connection is gone in
// mid-answer.
func (a *agent) beCut(ctx context.Context, answer *answer) error {
	if err := answer.upTo(a.stop); err != nil {
		return err
	}
	if err := a.stage.deploy.reach(ctx); err != nil {
		return err
	}
	answer.end()
	if err := a.until(ctx, answer, func(s state) bool { return len(s.Connections) == 0 }); err != nil {
		return err
	}
	if err := a.stage.cutOff.reach(ctx); err != nil {
		return err
	}
	switch a.fate {
	case away, graced: // it is not the agent who looks, but the demo, which waits for it
		return a.until(ctx, answer, func(s state) bool { return s.State != "streaming" })
	}
	if err := sleep(ctx, a.after); err != nil {
		return err
	}
	if a.fate == byID {
		if rest, err := a.rest(ctx, answer); err == nil && rest.whole() == nil {
			return nil
		}
		// On a machine that is busy it may come too late. It does what any agent would.
	}
	return a.again(ctx)
}

// survive is what the gateway's death does to an agent: its answer is broken off
// and can't be had any more. It buys it again.
func (a *agent) survive(ctx context.Context, answer *answer) error {
	if err := answer.upTo(a.stop); err != nil {
		return err
	}
	if err := a.stage.ready.arrive(ctx); err != nil {
		return err
	}
	if answer.whole() == nil {
		return errors.New("the gateway was killed, and the answer came to its end")
	}
	if err := a.stage.restarted.wait(ctx); err != nil {
		return err
	}
	// What it asks for is where it stands; so the books know what it has.
	rest, err := a.rest(ctx, answer)
	if no := (*refused)(nil); err != nil && !errors.As(err, &no) {
		return err
	}
	if err == nil && rest.whole() == nil {
		return errors.New("the gateway was killed, and the answer was there to its end")
	}
	return a.again(ctx)
}

// until looks at a stream until something is so, or it has expired: on a machine that is
// busy nobody may look for longer than it is kept.
func (a *agent) until(ctx context.Context, answer *answer, so func(state) bool) error {
	for {
		s, err := a.look(ctx, answer)
		if no := (*refused)(nil); errors.As(err, &no) && no.expired {
			return nil
		}
		if err != nil || so(s) {
			return err
		}
		if err := sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
}

const lookEvery = 20 * time.Millisecond

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

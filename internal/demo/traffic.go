package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// TrafficOptions say how agents keep a gateway busy.
type TrafficOptions struct {
	Gateway     string        // URL of its data plane, with a provider's name as its path if need be
	Agents      int           // so many calls at one time, at most
	DeployEvery time.Duration // two of three teams are cut off so often; 0: never
	Seed        uint64        // says which answers are asked for, and what happens to them
	Jobs        int           // it ends after so many; 0: when its context does
	Pace        Pace          // zero: that of a real provider
	Logger      *slog.Logger
}

// Pace is how fast things go.
type Pace struct {
	Interval time.Duration // between two events of an answer
	Away     time.Duration // how long an agent is gone that was cut off: from half of it to one and a half
	Rest     time.Duration // between two answers, likewise
	Retry    time.Duration // before asking again for what failed, and a gateway that is gone
}

// realPace has five tokens in each event: 50 tokens a second.
var realPace = Pace{Interval: 100 * time.Millisecond, Away: 5 * time.Second, Rest: 2 * time.Second, Retry: time.Second}

// Tally is what agents did, by their own count.
type Tally struct {
	Jobs      int64 // begun
	Read      int64 // answers read to their end
	Bought    int64 // calls for which the gateway asked the provider
	Resumed   int64 // calls that went on with an earlier answer
	Cut       int64 // connections that a deploy cut off
	Left      int64 // answers left in the middle for good
	Cancelled int64
	GivenUp   int64 // answers that failed too often
}

// traffic is agents at work.
type traffic struct {
	TrafficOptions
	url, prefix string // of the gateway, and of the provider's paths there
	run         string // this run's, in all names
	deploys     *deploys

	jobs, read, bought, resumed, cut, left, cancelled, givenUp atomic.Int64

	mu   sync.Mutex
	away string // why the gateway doesn't answer; "": it does
}

const (
	sayEvery   = time.Minute // how it goes
	neverAsked = "nobody asked it yet"
)

// Traffic keeps agents working until ctx ends, or all jobs are done; both are no
// error. It waits for a gateway that is not there, also later.
func Traffic(ctx context.Context, o TrafficOptions) (Tally, error) {
	u, err := url.Parse(o.Gateway)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return Tally{}, fmt.Errorf("the gateway's URL %q: want http://host:port, or http://host:port/provider", o.Gateway)
	}
	if o.Agents < 1 {
		return Tally{}, fmt.Errorf("%d agents: want at least 1", o.Agents)
	}
	if o.Pace == (Pace{}) {
		o.Pace = realPace
	}
	t := &traffic{
		TrafficOptions: o, url: u.Scheme + "://" + u.Host, prefix: strings.TrimRight(u.Path, "/"),
		run: newRun(), deploys: newDeploys(), away: neverAsked,
	}
	defer t.deploys.end()
	clock, stop := context.WithCancel(ctx)
	var aside sync.WaitGroup
	aside.Go(func() { t.deployNowAndThen(clock) })
	aside.Go(func() { t.sayNowAndThen(clock) })
	var agents errgroup.Group
	for n := range o.Agents {
		agents.Go(func() error { return newRegular(t, n).work(ctx) })
	}
	err = agents.Wait()
	stop()
	aside.Wait()
	if ctx.Err() != nil {
		err = nil
	}
	return t.tally(), err
}

// newRun is no secret: it keeps an agent that is started anew from being given the
// answers of the one before.
func newRun() string { return fmt.Sprintf("%08x-", rand.Uint32()) }

// next is the number of the next job, from 1; false when there is none.
func (t *traffic) next() (int, bool) {
	n := t.jobs.Add(1)
	if t.Jobs > 0 && n > int64(t.Jobs) {
		t.jobs.Add(-1)
		return 0, false
	}
	return int(n), true
}

func (t *traffic) tally() Tally {
	return Tally{
		Jobs: t.jobs.Load(), Read: t.read.Load(), Bought: t.bought.Load(), Resumed: t.resumed.Load(),
		Cut: t.cut.Load(), Left: t.left.Load(), Cancelled: t.cancelled.Load(), GivenUp: t.givenUp.Load(),
	}
}

func (t *traffic) deployNowAndThen(ctx context.Context) {
	for t.DeployEvery > 0 && sleep(ctx, t.DeployEvery) == nil {
		t.Logger.Info("a deploy cuts agents off")
		t.deploys.deploy()
	}
}

func (t *traffic) sayNowAndThen(ctx context.Context) {
	for sleep(ctx, sayEvery) == nil {
		n := t.tally()
		t.Logger.Info("agents at work", "answers", n.Read, "bought", n.Bought, "resumed", n.Resumed, "cut_by_deploys", n.Cut,
			"left", n.Left, "cancelled", n.Cancelled, "given_up", n.GivenUp)
	}
}

// heard says when the gateway goes and when it comes back, once for all agents.
func (t *traffic) heard(err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch was := t.away; {
	case why == "" && was != "":
		t.Logger.Info("the gateway answers", "gateway", t.url)
	case why != "" && (was == "" || was == neverAsked):
		t.Logger.Warn("the gateway does not answer, waiting", "gateway", t.url, "error", why)
	}
	t.away = why
}

// around is a time from half of d to one and a half.
func around(random *rand.Rand, d time.Duration) time.Duration {
	return d/2 + time.Duration(random.Int64N(int64(d)+1))
}

var errDeploy = errors.New("a deploy cut it off")

// deploys is where agents learn of them.
type deploys struct {
	mu  sync.Mutex
	ctx context.Context // until the next one
	cut context.CancelCauseFunc
}

func newDeploys() *deploys {
	d := &deploys{}
	d.ctx, d.cut = context.WithCancelCause(context.Background())
	return d
}

func (d *deploys) deploy() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut(errDeploy)
	d.ctx, d.cut = context.WithCancelCause(context.Background())
}

// until is ctx, but that the next deploy ends it too.
func (d *deploys) until(ctx context.Context) (context.Context, context.CancelFunc) {
	d.mu.Lock()
	next := d.ctx
	d.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(next, func() { cancel(errDeploy) })
	return ctx, func() { stop(); cancel(nil) }
}

func (d *deploys) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut(nil)
}

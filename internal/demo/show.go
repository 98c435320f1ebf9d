package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// Options say how the demo is given.
type Options struct {
	// Serve makes the command of a process that is `recoup serve` with these
	// arguments, and ends in order when its standard input does.
	Serve func(args ...string) *exec.Cmd

	Seed     uint64
	DataDir  string // empty or not there; it is kept. "": a temporary one
	Progress io.Writer
	Live     bool // Progress is a terminal

	// BillExtraOn spoils the provider's bill; see simulator.Options.
	BillExtraOn func(*http.Request) int
}

// What the gateway is told, so that the demo doesn't take an hour. Both are shown.
const (
	Retention   = 4 * time.Second
	OrphanGrace = 2 * time.Second
)

const (
	showTime   = time.Minute      // far more than it takes: only a defect makes it longer
	settleTime = 20 * time.Second // likewise, of the wait for the last outcomes
	pollEvery  = 100 * time.Millisecond
)

var errTooLong = fmt.Errorf("%w: the demo did not come to its end in %v", ErrFailed, showTime)

// Demo is one that has been given. Provider and gateway are up until Close.
type Demo struct {
	Report      *Report
	Data, Admin string // URLs of the gateway's planes
	Provider    string // URL of the provider
	DataDir     string

	options   Options
	began     time.Time
	temporary bool // DataDir is
	sim       *simulator.Simulator
	server    *simulator.Server
	gateway   *child
	http      *http.Client
	plans     []*plan
	stage     *stage
	progress  *progress
}

// Run gives the demo and returns it with its report, whatever that says. The error
// is why there is none: something could not be started, an agent met what it must
// not, or ctx ended. Then all is closed.
func Run(ctx context.Context, o Options) (_ *Demo, err error) {
	d := &Demo{options: o, stage: newStage(), plans: plans(o.Seed), began: time.Now(), http: &http.Client{Transport: &http.Transport{}}}
	defer func() {
		if err != nil {
			err = fmt.Errorf("demo: %w", errors.Join(err, d.Close()))
		}
	}()
	if err := d.open(ctx); err != nil {
		return nil, err
	}
	d.progress = newProgress(o.Progress, o.Live, d.stage)
	defer d.progress.end()
	limited, cancel := context.WithTimeoutCause(ctx, showTime, errTooLong)
	defer cancel()
	err = d.perform(limited)
	if err == nil {
		d.Report, err = d.audit(limited)
	}
	if err != nil && limited.Err() != nil {
		err = context.Cause(limited) // what failed by that is not the reason
	}
	return d, err
}

// Close ends the gateway and the provider, and removes the data if nobody asked to
// keep it. It may be called again.
func (d *Demo) Close() error {
	d.http.CloseIdleConnections()
	errs := []error{d.gateway.stop()}
	if d.server != nil {
		errs = append(errs, d.server.Close())
	}
	if d.temporary {
		errs = append(errs, os.RemoveAll(d.DataDir))
	}
	return errors.Join(errs...)
}

// open starts provider and gateway.
func (d *Demo) open(ctx context.Context) (err error) {
	if err := d.openData(); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	d.sim = simulator.New(simulator.Options{Deterministic: true, Seed: d.options.Seed, BillExtraOn: d.options.BillExtraOn})
	if d.server, err = d.sim.Start("127.0.0.1:0"); err != nil {
		return err
	}
	d.Provider = d.server.URL
	return d.startGateway(ctx, "127.0.0.1:0", "127.0.0.1:0")
}

func (d *Demo) openData() (err error) {
	if d.DataDir = d.options.DataDir; d.DataDir == "" {
		d.temporary = true
		d.DataDir, err = os.MkdirTemp("", "recoup-demo-")
		return err
	}
	there, err := os.ReadDir(d.DataDir)
	if len(there) > 0 {
		return fmt.Errorf("%s is not empty: earlier books would be held against a bill that they are not in", d.DataDir)
	}
	if errors.Is(err, os.ErrNotExist) {
		err = nil // the gateway makes it
	}
	return err
}

func (d *Demo) startGateway(ctx context.Context, data, admin string) (err error) {
	d.gateway, err = startChild(ctx, d.options.Serve,
		"--listen", data, "--admin-listen", admin, "--data-dir", d.DataDir, "--provider", providerName+"="+d.Provider,
		"--retention", Retention.String(), "--orphan-grace", OrphanGrace.String(), "--drain-timeout", "1s", "--min-free", "0", "--log-format", "json")
	if err == nil {
		d.Data, d.Admin = d.gateway.url, d.gateway.admin
	}
	return err
}

// perform is all that happens to the agents. It returns when all are gone.
func (d *Demo) perform(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, firstCtx := errgroup.WithContext(ctx)
	last, lastCtx := errgroup.WithContext(ctx)
	d.progress.say("agents read their answers")
	d.start(firstCtx, first, func(f fate) bool { return f != killed })
	cut := d.deploy(firstCtx)
	if cut == nil {
		d.start(lastCtx, last, func(f fate) bool { return f == killed })
	}
	err := cmp.Or(first.Wait(), cut)
	if err == nil {
		err = d.crash(lastCtx)
	}
	if err != nil {
		cancel() // nobody is going to wake the others
	}
	// What an agent met is the reason for what came of it.
	if met := last.Wait(); met != nil && !errors.Is(met, context.Canceled) {
		err = met
	}
	return err
}

// deploy cuts agents off, all at the same moment, and lets their answers go on
// when all of them are gone.
func (d *Demo) deploy(ctx context.Context) error {
	if err := d.stage.deploy.all(ctx); err != nil {
		return err
	}
	d.progress.say("a deploy cuts %d of them off in mid-answer", count(func(r role) bool { return r.fate.cut() }))
	d.stage.deploy.lift()
	if err := d.stage.cutOff.all(ctx); err != nil {
		return err
	}
	d.sim.Release()
	d.stage.cutOff.lift()
	d.progress.say("most of them come back to the same answer")
	return nil
}

func (d *Demo) start(ctx context.Context, g *errgroup.Group, who func(fate) bool) {
	for _, p := range d.plans {
		if who(p.fate) {
			a := &agent{plan: p, client: newClient(d.Data, "sk-"+p.name()), stage: d.stage}
			g.Go(func() error { return a.play(ctx) })
		}
	}
}

// crash kills the gateway and starts it again on the same data and addresses.
func (d *Demo) crash(ctx context.Context) error {
	if err := d.stage.ready.all(ctx); err != nil {
		return err
	}
	d.progress.say("the gateway is killed under the last of them")
	d.gateway.kill()
	d.http.CloseIdleConnections()
	d.progress.say("the gateway starts again on the same data")
	if err := d.startGateway(ctx, address(d.Data), address(d.Admin)); err != nil {
		return err
	}
	d.stage.restarted.lift()
	return nil
}

func address(url string) string { return strings.TrimPrefix(url, "http://") }

// audit waits until all is settled, and holds the books against the provider's
// bill.
func (d *Demo) audit(ctx context.Context) (*Report, error) {
	d.progress.say("answers that nobody fetches expire, after %v", Retention)
	if err := d.sim.WaitIdle(ctx); err != nil {
		return nil, err
	}
	b, total, err := newBill(d.sim.Bill(), d.began)
	if err != nil {
		return nil, err
	}
	a := &admin{d.Admin, d.DataDir, d.http}
	before, late, err := d.settled(ctx, a, total.Requests)
	if err != nil {
		return nil, err
	}
	d.progress.say("the books are held against the bill")
	r, err := a.reconcile(ctx, b)
	if err != nil {
		return nil, err
	}
	after, err := a.audit(ctx)
	if err != nil {
		return nil, err
	}
	report := newReport(total, before, r, after)
	report.late = late
	return report, nil
}

// settled waits for the outcomes of all that the provider was asked, and for the
// missed resume that is part of the show. late says what of the outcomes did not
// come.
func (d *Demo) settled(ctx context.Context, a *admin, requests int) (s summary, late string, err error) {
	missing := int64(count(func(r role) bool { return r.fate == keyless }))
	deadline := time.Now().Add(settleTime)
	for {
		if s, err = a.audit(ctx); err != nil {
			return s, "", err
		}
		done := s.Pending == 0 && s.Outcomes.Pending == 0 && s.attempts() >= requests
		switch over := time.Now().After(deadline); {
		case done && (over || s.Missed.Calls >= missing):
			return s, "", nil
		case over:
			return s, fmt.Sprintf("after %v of waiting %d of %d attempts are posted, and %d of them are pending",
				settleTime, s.attempts(), requests, s.Pending), nil
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return s, "", err
		}
	}
}

// Wait returns when ctx ends, or the gateway does by itself, which is an error.
func (d *Demo) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.gateway.ended:
		return fmt.Errorf("demo: %w: %w\n%s", errGone, d.gateway.err, d.gateway.log)
	}
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// The parts of a run, in their order.
const (
	PartAppend = "append" // the log against files and simpler uses of Badger
	PartReplay = "replay" // reading a stored stream
	PartFlat   = "flat"   // whether cost depends on the length of a stream, and on the number of streams
	PartRelay  = "relay"  // the gateway against a reverse proxy: flat out, and paced
	PartIdle   = "idle"   // memory of open streams
	PartBooks  = "books"  // what the books cost
)

// Parts are all of them.
func Parts() []string {
	return []string{PartAppend, PartReplay, PartFlat, PartRelay, PartIdle, PartBooks}
}

// Options say what to run.
type Options struct {
	Quick  bool
	Only   []string // parts; empty: all
	Rounds int      // 0: as many as the mode has, 3 at least

	// Command makes the command of a child process by its role. It must read
	// its standard input and end with it, and say where it listens on
	// standard error, with a line of JSON that has a member url.
	Command func(role string, args ...string) *exec.Cmd

	Progress   func(format string, args ...any) // nil: nobody listens
	ProfileDir string                           // if set, CPU profiles of the gateway go there; it must serve its admin plane with pprof
}

// plan is how much of everything.
type plan struct {
	rounds int

	record        bool // of the layouts that were not chosen
	appendStreams int
	appendTime    time.Duration
	replays       int
	replayStreams int
	flatRounds    int
	long          int // events of a long stream
	few, many     int // streams stored

	flatOutStreams, flatOutEvents, flatOutRepeat int
	pacedStreams                                 int
	pacedTime                                    time.Duration
	idleStreams                                  int
}

func planOf(o Options) plan {
	p := plan{
		rounds: 5, record: true, appendStreams: 2000, appendTime: 4 * time.Second, replays: 1000, replayStreams: 200,
		flatRounds: 7, long: 50_000, few: 1000, many: 100_000,
		flatOutStreams: 64, flatOutEvents: 2000, flatOutRepeat: 4, pacedStreams: 500, pacedTime: 8 * time.Second, idleStreams: 1000,
	}
	if o.Quick {
		p.rounds, p.record, p.appendTime, p.replays, p.flatRounds, p.many = 3, false, 800*time.Millisecond, 300, 5, 10_000
		p.flatOutRepeat, p.pacedTime, p.idleStreams = 3, 1500*time.Millisecond, 200
	}
	if o.Rounds > 0 {
		p.rounds = o.Rounds
	}
	return p
}

// runner is a run.
type runner struct {
	opts     Options
	plan     plan
	dir      string // for all files; removed at the end
	verified verified
}

// verified counts what was compared byte by byte.
type verified struct{ streams, events, bytes atomic.Int64 }

func (v *verified) add(streams, events, bytes int64) {
	v.streams.Add(streams)
	v.events.Add(events)
	v.bytes.Add(bytes)
}

func (r *runner) say(format string, args ...any) {
	if r.opts.Progress != nil {
		r.opts.Progress(format, args...)
	}
}

// Run measures and checks. A difference between what was written and what was
// read is ErrDiffers; a missed target is no error, see Report.Missed. The end of
// ctx ends the run, its children and its files.
func Run(ctx context.Context, o Options) (*Report, error) {
	return run(ctx, o, planOf(o))
}

func run(ctx context.Context, o Options, p plan) (_ *Report, err error) {
	for _, part := range o.Only {
		if !slices.Contains(Parts(), part) {
			return nil, fmt.Errorf("bench: %q is no part: want %v", part, Parts())
		}
	}
	dir, err := os.MkdirTemp("", "recoup-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &runner{opts: o, plan: p, dir: dir}
	began := time.Now()
	rep := &Report{Machine: Machine{CPUs: runtime.NumCPU(), OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version()}, Quick: o.Quick, Rounds: p.rounds}
	if err := r.parts(ctx, rep); err != nil {
		return nil, err
	}
	rep.Seconds = time.Since(began).Seconds()
	rep.Verified = Verified{Streams: r.verified.streams.Load(), Events: r.verified.events.Load(), Bytes: r.verified.bytes.Load()}
	rep.Targets = rep.targets()
	return rep, nil
}

func (r *runner) parts(ctx context.Context, rep *Report) (err error) {
	wants := func(part string) bool { return len(r.opts.Only) == 0 || slices.Contains(r.opts.Only, part) }
	if wants(PartAppend) {
		if rep.Append, err = r.appends(ctx); err != nil {
			return err
		}
	}
	if wants(PartReplay) {
		if rep.Replay, err = r.replay(ctx); err != nil {
			return err
		}
	}
	if wants(PartFlat) {
		if rep.Flat, err = r.flat(ctx); err != nil {
			return err
		}
	}
	if wants(PartRelay) || wants(PartIdle) {
		if err = r.network(ctx, rep, wants(PartRelay), wants(PartIdle)); err != nil {
			return err
		}
	}
	if wants(PartBooks) {
		if rep.Books, err = r.books(ctx); err != nil {
			return fmt.Errorf("books: %w", err)
		}
	}
	return nil
}

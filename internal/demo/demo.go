package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/recoup-gateway/recoup/gateway"
)

// Options say how the demo is given.
type Options struct {
	// Open puts the gateway together, on a data directory that exists and is empty.
	Open func(dir string, c gateway.Config) (*Gateway, error)

	// Agent starts a process that calls [Agent] with the arguments that are
	// appended to these; the first is a path.
	Agent []string

	Out    io.Writer
	Colour bool // Out shows the escape sequences of a terminal
	Once   bool // return when all was shown; else stay until ctx ends

	Interval time.Duration // between two words of the answer; 0: 60 ms
	Away     time.Duration // how long nobody reads the answer; 0: 2 s
}

// Gateway is a gateway as the demo needs it: handlers to be served, and its end.
type Gateway struct {
	Data, Admin http.Handler
	Drain       func(context.Context) error // ends all streams; called while Data is still served
	Close       func() error                // called last, when no handler runs any more
}

// ErrFailed is in the error of Run when the demo came to its end and did not
// show what it should have.
var ErrFailed = errors.New("not as claimed")

const (
	defaultInterval = 60 * time.Millisecond
	defaultAway     = 2 * time.Second

	// showTime is far more than the demo takes; only a defect makes it longer.
	showTime = 2 * time.Minute
)

var errTooLong = fmt.Errorf("%w: it did not come to its end in %v", ErrFailed, showTime)

// Run gives the demo. It returns nil if everything was as claimed, an error
// with ErrFailed if not, and the cause of ctx if that ends before. Whatever it
// started has ended when it returns, and its data directory is gone.
func Run(ctx context.Context, o Options) (err error) {
	if o.Interval == 0 {
		o.Interval = defaultInterval
	}
	if o.Away == 0 {
		o.Away = defaultAway
	}
	site, err := openSite(ctx, o)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() {
		if e := site.close(); e != nil {
			err = errors.Join(err, fmt.Errorf("demo: %w", e))
		}
	}()
	show := &show{Options: o, site: site, stage: &stage{out: o.Out, colour: o.Colour}}
	if err := show.run(ctx); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if o.Once {
		return nil
	}
	show.invite()
	<-ctx.Done()
	return nil
}

// show is one performance.
type show struct {
	Options
	*site
	*stage

	first, second, third *child
	returned             cursor // how far the provider was when the second agent came
}

func (s *show) run(ctx context.Context) error {
	limited, cancel := context.WithTimeoutCause(ctx, showTime, errTooLong)
	defer cancel()
	defer func() {
		for _, c := range []*child{s.first, s.second, s.third} {
			c.end()
		}
	}()
	defer s.endLine()
	s.opening()
	for _, act := range []func(context.Context) error{s.readAndDie, s.away, s.comeBack, s.readTail, s.compare} {
		if err := act(limited); err != nil {
			// An agent that was ended because ctx is over is not the reason.
			if limited.Err() != nil {
				return context.Cause(limited)
			}
			return err
		}
	}
	return s.stage.err
}

// readAndDie is the first agent, up to its death.
func (s *show) readAndDie(ctx context.Context) (err error) {
	if s.first, err = startAgent(ctx, s.Agent, http.MethodPost, s.data.url+chatPath, callKey); err != nil {
		return err
	}
	s.heading("1. An agent asks for an answer. It is process %d; its call has the Idempotency-Key %q.", s.first.pid(), callKey)
	for {
		event, err := s.first.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		s.word("live", green, textOf(event))
		if s.first.events == killAfter {
			if err := s.first.kill(); err != nil {
				return err
			}
		}
	}
	err = s.first.wait()
	if err == nil {
		return errors.New("the first agent had the whole answer before it could be killed")
	}
	if s.first.events < killAfter {
		return err
	}
	s.mark(red, "SIGKILL. Process %d is dead (%s). It had read %s.", s.first.pid(), s.first.fate(), s.first.position().words())
	return nil
}

// away is the time without a reader.
func (s *show) away(ctx context.Context) error {
	s.heading("2. Nobody is connected. The gateway goes on reading:")
	s.label("received")
	const looks = 7
	tick := time.NewTicker(max(s.Away/looks, time.Millisecond))
	defer tick.Stop()
	for i := range looks {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		events, err := s.eventsOf(ctx, s.first.streamID())
		if err != nil {
			return err
		}
		s.word("received", yellow, fmt.Sprintf("%s%d", comma(i), events))
	}
	s.word("received", yellow, " events")
	return nil
}

// comeBack is the second agent: the same call with the same key.
func (s *show) comeBack(ctx context.Context) (err error) {
	if s.second, err = startAgent(ctx, s.Agent, http.MethodPost, s.data.url+chatPath, callKey); err != nil {
		return err
	}
	if s.returned, err = parseCursor(s.second.head.Get("Stream-Next-Offset")); err != nil {
		return err
	}
	s.heading("3. A new agent, process %d, makes the same call with the same key: Recoup-Resumed: %s.\n"+
		"   It gets the answer from its start, and then what is still to come:", s.second.pid(), s.second.head.Get("Recoup-Resumed"))
	err = s.second.each(func(n int, event []byte) {
		switch {
		case n < s.first.events:
			s.word("replayed", grey, textOf(event))
		case n < s.returned.events:
			s.word("missed", yellow, textOf(event))
		default:
			s.word("live", green, textOf(event))
		}
	})
	if err != nil {
		return err
	}
	return s.second.wait()
}

// readTail is the third agent: the stream's id and an offset.
func (s *show) readTail(ctx context.Context) (err error) {
	if s.third, err = startAgent(ctx, s.Agent, http.MethodGet, s.tailURL(), ""); err != nil {
		return err
	}
	s.heading("4. By id, whoever remembers how far it was gets only the rest. Process %d:", s.third.pid())
	s.label("GET")
	s.word("GET", plain, s.tailPath())
	err = s.third.each(func(_ int, event []byte) { s.word("tail", green, textOf(event)) })
	if err != nil {
		return err
	}
	return s.third.wait()
}

func (s *show) tailPath() string {
	return "/recoup/streams/" + s.first.streamID() + "?offset=" + s.first.position().String()
}

func (s *show) tailURL() string { return s.data.url + s.tailPath() }

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ", "
}

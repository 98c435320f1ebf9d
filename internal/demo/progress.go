package demo

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress says what is going on, while it is: on a terminal as one line that
// changes, else as a line for each act.
type progress struct {
	out   io.Writer
	live  bool // a terminal
	stage *stage

	mu    sync.Mutex
	since time.Time
	act   string
	stop  chan struct{}
	done  chan struct{}
}

func newProgress(out io.Writer, live bool, s *stage) *progress {
	p := &progress{out: out, live: live, stage: s, since: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	go p.run()
	return p
}

const redrawEvery = 100 * time.Millisecond

func (p *progress) run() {
	defer close(p.done)
	if !p.live {
		<-p.stop
		return
	}
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.draw()
		case <-p.stop:
			_, _ = io.WriteString(p.out, "\r\x1b[K") // nothing to be done about a terminal that is gone
			return
		}
	}
}

// say begins an act.
func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	p.act = fmt.Sprintf(format, args...)
	p.mu.Unlock()
	if p.live {
		p.draw()
		return
	}
	_, _ = fmt.Fprintf(p.out, "%4.1f s  %s\n", time.Since(p.since).Seconds(), p.act) // as above
}

func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.act == "" {
		return
	}
	_, _ = fmt.Fprintf(p.out, "\r\x1b[K%4.1f s  %2d of %d agents are done  %s",
		time.Since(p.since).Seconds(), p.stage.finished.Load(), size(), p.act)
}

// end wipes the line, and returns when nothing is drawn any more.
func (p *progress) end() {
	close(p.stop)
	<-p.done
}

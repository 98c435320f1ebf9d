package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// progressBar says how far something is, once it takes longer than a second, on a
// terminal; elsewhere nothing.
type progressBar struct {
	out   io.Writer
	what  string
	began time.Time
	done  atomic.Int64 // in thousandths; -1: not known
	stop  chan struct{}
	wg    sync.WaitGroup
}

const (
	barAfter = time.Second
	barEvery = 100 * time.Millisecond
	barCells = 30
)

func newProgressBar(out io.Writer, what string) *progressBar {
	b := &progressBar{out: out, what: what, began: time.Now(), stop: make(chan struct{})}
	b.done.Store(-1)
	if isTerminal(out) {
		b.wg.Go(b.run)
	}
	return b
}

// set says how much is done, from 0 to 1.
func (b *progressBar) set(done float64) { b.done.Store(int64(done * 1000)) }

func (b *progressBar) run() {
	tick := time.NewTicker(barEvery)
	defer tick.Stop()
	drawn := false
	for {
		select {
		case <-b.stop:
			if drawn {
				_, _ = io.WriteString(b.out, "\r\x1b[K") // nothing to be done about a terminal that is gone
			}
			return
		case <-tick.C:
			if took := time.Since(b.began); took > barAfter {
				drawn = true
				_, _ = io.WriteString(b.out, "\r\x1b[K"+b.line(took)) // as above
			}
		}
	}
}

func (b *progressBar) line(took time.Duration) string {
	n := b.done.Load()
	if n < 0 {
		return fmt.Sprintf("%s, %.0f s", b.what, took.Seconds())
	}
	full := int(n) * barCells / 1000
	return fmt.Sprintf("%s [%s%s] %d %%, %.0f s", b.what, strings.Repeat("#", full), strings.Repeat(".", barCells-full), n/10, took.Seconds())
}

// end wipes the bar, and returns when nothing is drawn any more.
func (b *progressBar) end() {
	close(b.stop)
	b.wg.Wait()
}

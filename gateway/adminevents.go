package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// Whoever watches reads how things stand at intervals of his own connection. Nothing
// is ever put into a queue for him, so however slowly he reads, no stream waits.
const (
	watchInterval  = time.Second
	watchHeartbeat = 15 * time.Second // well below the idle time-outs of proxies
	watchPatience  = 10 * time.Second // for one write
	maxWatchers    = 32
)

// watchers are the connections that watch.
type watchers struct {
	since time.Time     // the gateway's start
	over  chan struct{} // closed when there is nothing more to be watched

	mu    sync.Mutex
	n     int
	ended bool
}

// enter reports whether there is room for another one.
func (w *watchers) enter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n >= maxWatchers {
		return false
	}
	w.n++
	return true
}

func (w *watchers) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n--
}

// end ends all connections that watch, and those that come.
func (w *watchers) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.ended = true
		close(w.over)
	}
}

var errManyWatch = &httpError{status: http.StatusServiceUnavailable, code: "too_many_watchers", message: "Too many connections watch already.", retryAfter: 10}

// watchEvents is GET /api/v1/events: server-sent events of how the gateway stands.
//
//	hello     once: the gateway's time and start
//	overview  at first, and whenever something has changed, once a second at most
//	happened  breaks, resumes and ends since the last time, oldest first
//
// Between them come comments, so that a connection that is dead is noticed.
func (g *Gateway) watchEvents(c echo.Context) error {
	if !g.watchers.enter() {
		return errManyWatch
	}
	defer g.watchers.leave()
	h := c.Response().Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	c.Response().WriteHeader(http.StatusOK)
	w := watching{gw: g, rc: http.NewResponseController(c.Response())}
	defer func() { _ = w.rc.SetWriteDeadline(time.Time{}) }()
	hello := struct {
		Now     time.Time `json:"now"`
		Started time.Time `json:"started"` // since when happenings are numbered
	}{time.Now(), g.watchers.since}
	if err := w.put("hello", hello); err != nil {
		return err
	}
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		if err := w.look(); err != nil {
			return err
		}
		if err := w.write(c.Response()); err != nil {
			return nil // whoever watched has left, or reads too slowly
		}
		select {
		case <-tick.C:
		case <-g.watchers.over:
			return nil
		case <-c.Request().Context().Done():
			return nil
		}
	}
}

// watching is one connection that watches.
type watching struct {
	gw    *Gateway
	rc    *http.ResponseController
	out   bytes.Buffer
	wrote time.Time
	shown []byte // the overview that was written last
	seq   uint64 // of the last happening
}

// look puts out what is new.
func (w *watching) look() error {
	now, err := w.gw.overviews.get(w.gw)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, w.shown) {
		w.event("overview", now)
		w.shown = now
	}
	happened := w.gw.happenings.since(w.seq)
	if len(happened) == 0 {
		return nil
	}
	w.seq = happened[len(happened)-1].Seq
	return w.put("happened", happened)
}

func (w *watching) put(name string, v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		w.event(name, data)
	}
	return err
}

// event puts out an event. JSON as it is encoded here has no line breaks.
func (w *watching) event(name string, data []byte) {
	fmt.Fprintf(&w.out, "event: %s\ndata: %s\n\n", name, data)
}

// write writes what was put out, or a sign of life where that was long ago.
func (w *watching) write(to http.ResponseWriter) error {
	if w.out.Len() == 0 && time.Since(w.wrote) < watchHeartbeat {
		return nil
	}
	if w.out.Len() == 0 {
		w.out.WriteString(":\n\n")
	}
	if err := w.rc.SetWriteDeadline(time.Now().Add(watchPatience)); err != nil {
		return err
	}
	if _, err := w.out.WriteTo(to); err != nil {
		return err
	}
	w.wrote = time.Now()
	return w.rc.Flush()
}

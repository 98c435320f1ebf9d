package gateway

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// chapter is something that happened to a stream.
type chapter struct {
	At    time.Time `json:"at"`
	What  string    `json:"what"`
	Via   string    `json:"via,omitempty"`   // of connected: how it found its stream
	Event uint64    `json:"event,omitempty"` // at which of the answer
	Cause string    `json:"cause,omitempty"`
	State string    `json:"state,omitempty"` // of ended
	Shows bool      `json:"observes,omitempty"`
}

// What can happen to a stream.
const (
	toldAccepted  = "accepted"
	toldConnected = "connected"
	toldLeft      = "left" // with all there was
	toldBroke     = "broke"
	toldCancelled = "cancelled"
	toldKilled    = "gateway_killed"
	toldStopped   = "gateway_stopped" // killed, shut down or its disk full: the books don't say
	toldEnded     = "ended"
)

// maxChapters bounds a story. Who comes back more often than that is no story any more.
const maxChapters = 500

// storyJSON is a stream and what happened to it. The parts of the log are missing where
// the stream is only in the books any more.
type storyJSON struct {
	ID       streamlog.ID      `json:"id"`
	Kept     bool              `json:"kept"` // the answer still is
	State    streamlog.State   `json:"state,omitempty"`
	Provider string            `json:"provider"`
	Model    string            `json:"model"`
	Tags     map[string]string `json:"tags,omitempty"`
	Accepted time.Time         `json:"accepted"`
	Ended    *time.Time        `json:"ended,omitempty"`
	Events   uint64            `json:"events,omitempty"`
	Story    []chapter         `json:"story"`
	Books    *booksJSON        `json:"books,omitempty"`
}

// adminStory is GET /api/v1/streams/:id/story: from the log while it has the stream,
// then from the books. It shows nothing of an answer.
func (g *Gateway) adminStory(c echo.Context) error {
	id, err := streamlog.ParseID(c.Param("id"))
	if err != nil {
		return errNoStream
	}
	l, err := g.log.GetAny(id)
	var j *storyJSON
	switch {
	case err == nil:
		defer l.Release()
		j, err = g.storyOf(l)
	case errors.Is(err, streamlog.ErrNotFound), errors.Is(err, streamlog.ErrExpired), errors.Is(err, streamlog.ErrDamaged):
		j, err = g.bookedStory(id)
	default:
		err = logError(err)
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, j)
}

// storyOf tells of a stream that the log has.
func (g *Gateway) storyOf(l *streamlog.Stream) (*storyJSON, error) {
	info := l.Info()
	h := info.Header
	j := &storyJSON{
		ID: h.ID, Kept: true, State: info.State, Provider: h.Provider, Model: h.Asked(), Tags: h.Tags, Accepted: h.Accepted, Events: info.Events,
		Story: []chapter{{At: h.Accepted, What: toldAccepted}},
	}
	observers := map[uint32]bool{}
	err := l.History(func(e streamlog.Entry) error {
		if e.Mark == nil || len(j.Story) >= maxChapters {
			return nil
		}
		if e.Mark.Kind == streamlog.MarkAttach {
			observers[e.Mark.Conn] = e.Mark.Observe
		}
		if ch, ok := marked(e.Mark); ok {
			ch.At, ch.Shows = e.At, observers[e.Mark.Conn]
			j.Story = append(j.Story, ch)
		}
		return nil
	})
	if err != nil && !errors.Is(err, streamlog.ErrDamaged) {
		return nil, logError(err)
	}
	if e := info.End; e != nil {
		j.Ended = &e.At
		j.Story = append(j.Story, chapter{At: e.At, What: toldEnded, State: string(e.State), Cause: e.Cause, Event: info.Events})
	}
	slices.SortStableFunc(j.Story, func(a, b chapter) int { return a.At.Compare(b.At) })
	if g.settler == nil {
		return j, nil
	}
	v, err := g.settler.View(l)
	if err == nil && v != nil {
		j.Books, err = describeBooks(v)
	}
	return j, err
}

// marked is what a mark tells.
func marked(m *streamlog.Mark) (chapter, bool) {
	switch m.Kind {
	case streamlog.MarkAttach:
		return chapter{What: toldConnected, Via: m.Cause, Event: m.Index}, true
	case streamlog.MarkDetach:
		if m.Cause == leftDone {
			return chapter{What: toldLeft, Event: m.Index}, true
		}
		return chapter{What: toldBroke, Cause: m.Cause, Event: m.Index}, true
	case streamlog.MarkCancel:
		return chapter{What: toldCancelled, Cause: m.Cause}, true
	case streamlog.MarkKill:
		return chapter{What: toldKilled}, true
	}
	return chapter{}, false
}

// bookedStory tells of a stream that only the books have any more.
func (g *Gateway) bookedStory(id streamlog.ID) (*storyJSON, error) {
	if g.settler == nil {
		return nil, errNoStream
	}
	v, row, err := g.settler.Booked(id)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, errNoStream
	}
	if err != nil {
		return nil, err
	}
	j := &storyJSON{
		ID: id, Provider: row.Provider, Model: cmp.Or(row.AskedModel, row.Model), Tags: row.Tags, Accepted: row.At,
		Story: []chapter{{At: row.At, What: toldAccepted}},
	}
	for _, s := range v.Evidence.History.Steps {
		told := booked[string(s.Do)]
		told.At, told.Event, told.Shows, told.Cause = s.At, uint64(s.From), s.Observe, cmp.Or(told.Cause, s.Cause)
		again := told.What == toldStopped && j.Story[len(j.Story)-1].What == toldStopped // once for each of what died with it
		if told.What != "" && !again && len(j.Story) < maxChapters {
			j.Story = append(j.Story, told)
		}
	}
	if !row.Ended.IsZero() {
		j.Ended = &row.Ended
		j.Story = append(j.Story, chapter{At: row.Ended, What: toldEnded})
	}
	slices.SortStableFunc(j.Story, func(a, b chapter) int { return a.At.Compare(b.At) })
	j.Books, err = describeBooks(v)
	return j, err
}

// booked are the steps of the books that are told.
var booked = map[string]chapter{
	"attach": {What: toldConnected}, "detach": {What: toldBroke}, "kill": {What: toldStopped},
	"cancel": {What: toldCancelled, Cause: stopCancelled}, "grace": {What: toldCancelled, Cause: "unclaimed"}, "supersede": {What: toldCancelled, Cause: stopSuperseded},
}

package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// formatCursor makes the cursor of the event at index, which begins at offset in
// the body. Cursors sort as the events do.
func formatCursor(index, offset uint64) string { return fmt.Sprintf("%016d_%016d", index, offset) }

func errCursor(given string) error {
	return badRequest("invalid_offset", "The offset %q is none. Use -1, now, or a Stream-Next-Offset that this stream gave you.", given)
}

// start finds the event that a request wants to begin with: its ?offset=, ?from=
// or Last-Event-ID, else the first. explicit: it says that it has all before.
func start(r *http.Request, l *streamlog.Stream) (from uint64, explicit bool, err error) {
	q := r.URL.Query()
	switch {
	case q.Has("offset"):
		given := q.Get("offset")
		from, err = offset(given, l)
		return from, given != "-1" && given != "now", err
	case q.Has("from"):
		n, err := index(q.Get("from"))
		if err != nil {
			return 0, false, badRequest("invalid_from", "from=%q is not the index of an event: want 0, 1, 2, …", q.Get("from"))
		}
		return n, true, within(n, l)
	case r.Header.Get("Last-Event-Id") != "":
		n, err := index(r.Header.Get("Last-Event-Id"))
		if err != nil {
			return 0, false, badRequest("invalid_last_event_id", "Last-Event-ID %q is not the index of an event: want 0, 1, 2, …", r.Header.Get("Last-Event-Id"))
		}
		return n + 1, true, within(n+1, l)
	}
	return 0, false, nil
}

func offset(given string, l *streamlog.Stream) (uint64, error) {
	switch given {
	case "-1":
		return 0, nil
	case "now":
		return l.Info().Events, nil
	}
	if len(given) != 33 || given[16] != '_' {
		return 0, errCursor(given)
	}
	n, err := index(given[:16])
	if err != nil {
		return 0, errCursor(given)
	}
	at, err := index(given[17:])
	if err != nil {
		return 0, errCursor(given)
	}
	if err := within(n, l); err != nil {
		return 0, err
	}
	reader, err := l.Reader(n)
	if err != nil {
		return 0, logError(err)
	}
	defer reader.Close()
	if reader.Offset() == at {
		return n, nil
	}
	shown, err := shownOffset(n, l)
	if err != nil {
		return 0, err
	}
	if shown != at {
		return 0, badRequest("invalid_offset", "The offset %q is not one of this stream: event %d begins at byte %d.", given, n, shown)
	}
	return n, nil
}

// shownOffset is where an event begins in the body as a client is shown it, who
// counts what it has received. It differs from the log's if the gateway asked
// for a usage report.
func shownOffset(index uint64, l *streamlog.Stream) (uint64, error) {
	reader, err := l.Reader(0)
	if err != nil {
		return 0, logError(err)
	}
	defer reader.Close()
	cn := &connection{}
	if info := l.Info(); hidesUsage(info) {
		cn.view = dialect.NewUsageView()
	}
	shown := 0
	for reader.Index() < index {
		events, err := reader.Read(relayBatch)
		if err != nil {
			return 0, logError(err)
		}
		for i, e := range events {
			if e.Index < index {
				shown += len(cn.bytes(events[i : i+1]))
			}
		}
	}
	return uint64(shown), nil
}

// index reads digits and nothing else: no sign, no space.
func index(s string) (uint64, error) {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, errors.New("not a number")
		}
	}
	return strconv.ParseUint(s, 10, 62)
}

func within(n uint64, l *streamlog.Stream) error {
	if have := l.Info().Events; n > have {
		return badRequest("invalid_offset", "The stream has %d events, so it can't be read from %d.", have, n)
	}
	return nil
}

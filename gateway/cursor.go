package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// formatCursor makes the cursor of the event at index, which begins at offset in
// the body. Cursors sort as the events do.
func formatCursor(index, offset uint64) string { return fmt.Sprintf("%016d_%016d", index, offset) }

func errCursor(given string) error {
	return badRequest("invalid_offset", "The offset %q is none. Use -1, now, or a Stream-Next-Offset that this stream gave you.", given)
}

// start finds the event that a request wants to begin with: its ?offset=, ?from=
// or Last-Event-ID, else the first.
func start(r *http.Request, l *streamlog.Stream) (uint64, error) {
	q := r.URL.Query()
	switch {
	case q.Has("offset"):
		return offset(q.Get("offset"), l)
	case q.Has("from"):
		n, err := index(q.Get("from"))
		if err != nil {
			return 0, badRequest("invalid_from", "from=%q is not the index of an event: want 0, 1, 2, …", q.Get("from"))
		}
		return n, within(n, l)
	case r.Header.Get("Last-Event-Id") != "":
		n, err := index(r.Header.Get("Last-Event-Id"))
		if err != nil {
			return 0, badRequest("invalid_last_event_id", "Last-Event-ID %q is not the index of an event: want 0, 1, 2, …", r.Header.Get("Last-Event-Id"))
		}
		return n + 1, within(n+1, l)
	}
	return 0, nil
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
	if reader.Offset() != at {
		return 0, badRequest("invalid_offset", "The offset %q is not one of this stream: event %d begins at byte %d.", given, n, reader.Offset())
	}
	return n, nil
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

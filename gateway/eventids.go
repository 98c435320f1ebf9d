package gateway

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// eventIDs reports whether a request wants the events of its response numbered.
func eventIDs(h http.Header) (bool, error) {
	switch ownHeader(h, "Recoup-Event-Ids") {
	case "", "off":
		return false, nil
	case "on":
		return true, nil
	}
	return false, badRequest("invalid_event_ids", "Recoup-Event-Ids: want on, or leave it out.")
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// appendID appends what of an event comes before its data, with the line of its id.
// Blocks without data, such as comments, are no events to a client and get none.
func appendID(out []byte, e *streamlog.Event, data []byte) (_, rest []byte) {
	if !e.More && !hasData(data) {
		return out, data
	}
	if rest, ok := bytes.CutPrefix(data, byteOrderMark); ok && e.Index == 0 {
		out, data = append(out, byteOrderMark...), rest // it is one only at the start of the body
	}
	out = append(out, "id: "...)
	out = strconv.AppendUint(out, e.Index, 10)
	return append(out, '\n'), data
}

// hasData reports whether a block has a line of data.
func hasData(block []byte) bool {
	block = bytes.TrimPrefix(block, byteOrderMark)
	for len(block) > 0 {
		if bytes.HasPrefix(block, []byte("data")) {
			return true
		}
		end := bytes.IndexAny(block, "\r\n")
		if end < 0 {
			return false
		}
		block = block[end+1:]
	}
	return false
}

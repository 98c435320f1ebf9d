package gateway

import (
	"sync"
	"time"

	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
)

// keptHappenings is how many happenings are remembered. Whoever looks more seldom
// than they come misses some, and nobody waits for him.
const keptHappenings = 256

// What can happen to a stream, for those who watch.
const (
	happenedBreak  = "break"
	happenedResume = "resume"
	happenedEnd    = "end"
)

// happening is something that happened to a stream: nothing of what was said.
type happening struct {
	Seq      uint64            `json:"seq"` // from 1, since the start
	At       time.Time         `json:"at"`
	What     string            `json:"what"`
	Stream   streamlog.ID      `json:"stream"`
	Provider string            `json:"provider"`
	Model    string            `json:"model"`
	Tags     map[string]string `json:"tags,omitempty"`
	Cause    string            `json:"cause,omitempty"` // of a break, or of an end that is none
	Via      string            `json:"via,omitempty"`   // of a resume
	State    streamlog.State   `json:"state,omitempty"` // of an end
	Gap      float64           `json:"gap_seconds,omitempty"`
}

// happenings are the last ones, in a ring. To add one never blocks.
type happenings struct {
	mu   sync.Mutex
	ring [keptHappenings]happening
	n    uint64 // that there were
}

// add notes what happened to a stream.
func (k *happenings) add(h *streamlog.Header, what happening) {
	what.At, what.Stream, what.Provider, what.Model, what.Tags = time.Now(), h.ID, h.Provider, metrics.Text(h.Asked(), maxSpanModel), h.Tags
	k.mu.Lock()
	defer k.mu.Unlock()
	k.n++
	what.Seq = k.n
	k.ring[(k.n-1)%keptHappenings] = what
}

// since returns those after number seq, oldest first, as far as they are remembered.
func (k *happenings) since(seq uint64) (list []happening) {
	k.mu.Lock()
	defer k.mu.Unlock()
	first := seq
	if k.n > keptHappenings {
		first = max(first, k.n-keptHappenings)
	}
	for i := first; i < k.n; i++ {
		list = append(list, k.ring[i%keptHappenings])
	}
	return list
}

package settle

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// TestDamage: wherever the log is damaged after the bill was posted, that is
// settled, with what was known to be written.
func TestDamage(t *testing.T) {
	const places = 8
	damaged := 0
	for place := range places {
		s := newSite(t)
		var plays []*play
		for i := range 3 {
			p := s.stream()
			c := p.owner()
			p.head(200)
			for range 100 {
				noise := make([]byte, 1<<10) // which is not compressed away
				_, _ = rand.Read(noise)
				p.event(streamlog.Event{Text: true}, fmt.Sprintf(`data: {"id":"c","choices":[{"index":0,"delta":{"content":" the"},"finish_reason":null}],"obfuscation":"%x"}`+"\n\n", noise))
			}
			p.leave(c, 70, "client")
			if i > 0 {
				p.finish(20, 100).completed()
			} else {
				p.end(streamlog.Interrupted, "upstream")
			}
			plays = append(plays, p)
		}
		s.close()
		s.spoil(place, places)
		s.open()
		s.expire()
		s.expire()
		for _, p := range plays {
			outcomes := p.row().Current.Outcomes
			if outcomes == nil {
				t.Fatalf("%d: %s", place, p.booked())
			}
			tokens := map[string]int64{}
			for _, o := range outcomes.Output {
				tokens[o.Outcome] += o.Tokens
				if o.Cause == ledger.Damaged {
					damaged++
				}
			}
			if tokens[ledger.Wasted] != 70 || tokens[ledger.Lost] != 30 {
				t.Errorf("%d: %s", place, p.booked())
			}
		}
		if _, err := s.ledger.Verify(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
	if damaged == 0 {
		t.Error("no damage was done")
	}
}

// spoil changes a few bytes at one of so many places of the log.
func (s *site) spoil(place, places int) {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "log", "*", "*.vlog"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			s.t.Fatal(err)
		}
		n := len(b)
		for n > 0 && b[n-1] == 0 {
			n--
		}
		if n < 512 {
			continue
		}
		at := 64 + (n-72)*place/places
		for i := range 8 {
			b[at+i] ^= 0x55
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

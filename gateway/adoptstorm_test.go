package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// TestStormOfEqualCalls: many callers ask the same few questions at once, without
// keys, leave where they like, and ask again until they have a whole answer; then
// the gateway is restarted, and others come. No two of them are given the same
// answer whole, every response that continues nothing has a stream and a bill of
// its own, no other is paid for, and the books balance.
func TestStormOfEqualCalls(t *testing.T) {
	n := 60
	if os.Getenv("RECOUP_FULL") != "" {
		n = 600
	}
	s := newSite(t, func(s *site) {
		s.config.MaxOrphans = 10 * n
		s.config.OrphanGrace = time.Hour
		s.logOpts.Retention = time.Hour
	})
	w := &equals{whole: map[string]bool{}, made: map[string]bool{}}
	for wave := range 2 {
		s.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 4 * n
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				if err := w.caller(s, rand.New(rand.NewPCG(uint64(i), uint64(wave)))); err != nil {
					t.Errorf("caller %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		for id := range w.made {
			s.awaitConnections(id, 0)
		}
		s.restart()
	}
	if got := s.sim.Calls(); got != len(w.made) || len(w.whole) != 2*n || w.adopted == 0 {
		t.Errorf("%d calls for %d streams, %d whole answers for %d callers, %d adopted", got, len(w.made), len(w.whole), 2*n, w.adopted)
	}
	s.expire()
	s.reconcile()
	s.sameBill()
}

// equals is what the callers of a storm of equal calls have seen together.
type equals struct {
	mu      sync.Mutex
	made    map[string]bool // streams that began with a call
	whole   map[string]bool // streams whose answer somebody has whole
	adopted int
}

// caller asks until it has a whole answer.
func (w *equals) caller(s *site, r *rand.Rand) error {
	path, body := chatPath, strings.Replace(chatBody, "hello", fmt.Sprint("hello ", r.IntN(3)), 1)
	if r.IntN(2) == 0 {
		path, body = messagesPath, messagesBody
	}
	h := with(script(simulator.Script{Tokens: 50 + r.IntN(300), EventsPerWrite: 1 + r.IntN(5)}), "Recoup-Resume", "auto")
	for range 20 {
		limit := int64(1) << 40
		if r.IntN(3) > 0 {
			limit = int64(r.IntN(20_000))
		}
		asked := body
		if r.IntN(4) == 0 {
			asked = fallback(body)
		}
		whole, err := w.ask(s, s.request(http.MethodPost, path, asked, h), limit)
		if whole || err != nil {
			return err
		}
	}
	return fmt.Errorf("no whole answer in 20 attempts")
}

// ask makes one call and reads up to limit bytes of its answer.
func (w *equals) ask(s *site, req *http.Request, limit int64) (whole bool, err error) {
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	resp, err := s.client.Do(req.WithContext(ctx))
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	if err != nil || resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("%d, %w: %s", resp.StatusCode, err, data)
	}
	if whole = int64(len(data)) < limit; whole && resp.Header.Get("Content-Type") == "application/json" && !json.Valid(data) {
		return false, fmt.Errorf("half a body: %s", data)
	}
	id := resp.Header.Get("Recoup-Stream-Id")
	w.mu.Lock()
	defer w.mu.Unlock()
	switch how := resp.Header.Get("Recoup-Resumed"); {
	case how == "auto":
		w.adopted++
	case w.made[id] || how != "no" && how != "no; reason=ended" && how != "no; reason=owner-attached" && how != "no; reason=other-mode":
		return false, fmt.Errorf("stream %s again, or resumed %q", id, how)
	default:
		w.made[id] = true
	}
	if whole && w.whole[id] {
		return false, fmt.Errorf("stream %s was given whole to another", id)
	}
	w.whole[id] = w.whole[id] || whole
	if !w.whole[id] {
		delete(w.whole, id)
	}
	return whole, nil
}

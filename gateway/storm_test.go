package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// TestStorm drives many streams at once, each through random breaks, take-overs,
// observers, resumes by key, id and offset, and some through a cancel: every
// reader's bytes are a piece of the one answer, and the provider is called
// exactly once per call that was not cancelled before.
func TestStorm(t *testing.T) {
	n := 200
	if os.Getenv("RECOUP_FULL") != "" {
		n = 1000
	}
	s := newSite(t, func(s *site) {
		s.config.MaxOrphans = 10 * n
		s.config.Keepalive = 0 // they are no bytes of the answer, and a busy machine may need some
	})
	s.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 4 * n
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			a := &caller{site: s, rand: rand.New(rand.NewPCG(uint64(i), 7)), key: fmt.Sprint("run:", i)}
			if err := a.run(); err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if got := s.sim.Calls(); got != n {
		t.Errorf("the provider was called %d times, want %d", got, n)
	}
	for _, e := range s.sim.Bill() {
		if e.End != simulator.EndCompleted && e.End != simulator.EndGone {
			t.Errorf("call %d ended %s", e.Seq, e.End)
		}
	}
	s.stop() // waits for what is still being served
	if n := s.gateway.StreamsForTest(); n != 0 {
		t.Errorf("%d streams are still held", n)
	}
	s.start()
	s.expire()
	s.reconcile()
	s.sameBill()
}

// caller is one client of the storm with its one call.
type caller struct {
	*site
	rand *rand.Rand
	key  string
	id   string
	body []byte // what is known of the answer
}

func (a *caller) run() error {
	h := with(script(simulator.Script{Tokens: 50 + a.rand.IntN(300), EventsPerWrite: 1 + a.rand.IntN(5)}), "Idempotency-Key", a.key)
	path, body := chatPath, chatBody
	if a.rand.IntN(2) == 0 {
		path, body = messagesPath, messagesBody
	}
	post := a.request(http.MethodPost, path, body, h)
	if err := a.read(post, 0, a.rand.IntN(20_000)); err != nil {
		return fmt.Errorf("first call: %w", err)
	}
	cancelled := false
	for range a.rand.IntN(4) {
		var err error
		switch a.rand.IntN(5) {
		case 0:
			err = a.read(a.request(http.MethodPost, path, body, h), 0, a.rand.IntN(20_000))
		case 1:
			err = a.read(a.request(http.MethodGet, "/recoup/streams/"+a.id+"?observe=1", "", nil), 0, a.rand.IntN(20_000))
		case 2:
			err = a.tail()
		case 3:
			err = a.both(path, body, h)
		case 4:
			if a.rand.IntN(4) == 0 {
				cancelled = true
				err = a.read(a.request(http.MethodPost, "/recoup/streams/"+a.id+"/cancel", "", nil), -1, 0)
			}
		}
		if err != nil {
			return err
		}
		if cancelled {
			break
		}
	}
	err := a.read(a.request(http.MethodGet, "/recoup/streams/"+a.id, "", nil), 0, 1<<30)
	if err != nil && !cancelled {
		return fmt.Errorf("last reading: %w", err)
	}
	return nil
}

// read sends a request and reads up to limit bytes, which must be those of the
// answer from offset on; then it leaves. A negative offset: any body will do.
func (a *caller) read(req *http.Request, offset, limit int) error {
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		data, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %d %s", req.URL.Path, resp.StatusCode, data)
	}
	if id := resp.Header.Get("Recoup-Stream-Id"); a.id == "" {
		a.id = id
	} else if id != "" && id != a.id {
		return fmt.Errorf("stream %s became %s", a.id, id)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)))
	if offset < 0 {
		return nil
	}
	if known := min(len(a.body)-offset, len(data)); !bytes.Equal(data[:known], a.body[offset:offset+known]) {
		return fmt.Errorf("bytes from %d on differ from what was read before", offset)
	} else if known < len(data) {
		a.body = append(a.body, data[known:]...)
	}
	return err
}

// tail resumes by id after the events that are known to be whole.
func (a *caller) tail() error {
	events, at := eventsOf(a.body), 0
	k := max(len(events)-1, 0)
	for _, e := range events[:k] {
		at += len(e)
	}
	return a.read(a.request(http.MethodGet, fmt.Sprintf("/recoup/streams/%s?offset=%016d_%016d", a.id, k, at), "", nil), at, a.rand.IntN(20_000))
}

// both takes the stream over while an older connection reads.
func (a *caller) both(path, body string, h header) error {
	older, err := a.client.Do(a.request(http.MethodPost, path, body, h))
	if err != nil {
		return err
	}
	defer older.Body.Close()
	if _, err := io.CopyN(io.Discard, older.Body, 100); err != nil && err != io.EOF {
		return err
	}
	return a.read(a.request(http.MethodGet, "/recoup/streams/"+a.id, "", nil), 0, a.rand.IntN(20_000))
}

// TestSlowReader: one client that takes a byte now and then does not hold up
// the drain, nor anybody else, and costs no memory of the stream's size.
func TestSlowReader(t *testing.T) {
	s := newSite(t)
	before := heap() // other tests have loaded what stays, such as the tokenizer
	big := simulator.Script{Tokens: 8000, PadLineBytes: 10_000}
	s.sim.Next(big)
	slow := s.do(http.MethodPost, chatPath, chatBody, header{"Idempotency-Key": "slow"})
	defer slow.Body.Close()
	got := readUntil(t, slow.Body, 1)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if _, _, err := s.all(http.MethodPost, chatPath, chatBody, header{"Idempotency-Key": fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	id := slow.Header.Get("Recoup-Stream-Id")
	info := s.awaitState(id, "completed") // the drain does not wait for the slow one
	wg.Wait()
	if info.Bytes < 80_000_000 {
		t.Fatalf("the answer has only %d bytes", info.Bytes)
	}
	// The slow reader's connection is all that is left of 80 MB: had the gateway
	// kept the answer for it, the heap would show it.
	if used := heap(); used > before+40_000_000 {
		t.Errorf("%d bytes of heap while one reader waits, %d before", used, before)
	}
	rest, err := io.ReadAll(slow.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, whole := s.must(200, http.MethodGet, "/recoup/streams/"+id, "", nil)
	sameBytes(t, "the slow reader", append(got, rest...), whole)
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

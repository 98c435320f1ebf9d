package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

const (
	chatPath = "/v1/chat/completions"
	variants = 16 // different answers, so that one stream can't pass for another
)

// target is what the load goes to.
type target struct {
	name   string
	url    string
	proc   *process // whose CPU and memory count
	client *http.Client
}

func newTarget(name string, p *process) *target {
	return &target{name: name, url: p.url, proc: p, client: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 4096, DisableCompression: true,
	}}}
}

// answers are the expected bodies of one script, by variant.
type answers struct {
	script simulator.Script
	bodies [variants][]byte
}

func request(ctx context.Context, t *target, script string, variant int) (*http.Request, error) {
	body := fmt.Sprintf(`{"model":"gpt-5.5","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Tell me story number %d."}]}`, variant)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+chatPath, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer sk-bench")
	req.Header.Set(simulator.ScriptHeader, script)
	return req, nil
}

// expect asks the provider itself for the answers of a script, without the
// pace and the stamps that don't change what they say.
func expect(ctx context.Context, provider *target, script simulator.Script) (*answers, error) {
	a := &answers{script: script}
	plain := simulator.Script{Tokens: script.Tokens, EventsPerWrite: 1000}
	for v := range a.bodies {
		req, err := request(ctx, provider, plain.Header(), v)
		if err != nil {
			return nil, err
		}
		resp, err := provider.client.Do(req)
		if err != nil {
			return nil, fmt.Errorf("ask the provider: %w", err)
		}
		a.bodies[v], err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("ask the provider: %s, %w", resp.Status, err)
		}
		c := check{want: a.bodies[v]}
		if n := c.count(a.bodies[v]); n < script.Tokens {
			return nil, fmt.Errorf("%w: the provider sends %d events for %d tokens", ErrDiffers, n, script.Tokens)
		}
	}
	return a, nil
}

// load is many streams at once to one target.
type load struct {
	target  *target
	answers *answers
	streams int
	stagger time.Duration // from one stream's start to the next
	repeat  int           // streams that follow each other in each place
	hold    int           // > 0: wait after so many events, until the end of the context

	events    atomic.Int64
	bytes     atomic.Int64
	whole     atomic.Int64 // streams
	measuring atomic.Bool  // latencies count

	mu        sync.Mutex
	latencies []int64 // ns
}

// run runs all streams. started is called when each stream has been started,
// or with hold, when each has got its events.
func (l *load) run(outer context.Context, started func()) error {
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	header := l.answers.script.Header()
	var held, all sync.WaitGroup
	tick := time.NewTicker(max(l.stagger, time.Nanosecond))
	defer tick.Stop()
	for i := range l.streams {
		if l.stagger > 0 {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		held.Add(1)
		all.Go(func() {
			once := sync.OnceFunc(held.Done)
			defer once()
			for range l.repeat {
				if err := l.stream(ctx, header, i, once); err != nil {
					cancel(fmt.Errorf("%s, stream %d: %w", l.target.name, i, err))
					return
				}
			}
		})
	}
	if l.hold > 0 {
		held.Wait()
	}
	if started != nil && context.Cause(ctx) == nil {
		started()
	}
	if l.hold > 0 {
		cancel(nil)
	}
	all.Wait()
	if outer.Err() != nil {
		return context.Cause(outer)
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// stream makes one call and checks its answer.
func (l *load) stream(ctx context.Context, header string, i int, held func()) error {
	req, err := request(ctx, l.target, header, i%variants)
	if err != nil {
		return err
	}
	resp, err := l.target.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	c := check{want: l.answers.bodies[i%variants], stamped: l.answers.script.Stamp}
	err = l.read(resp.Body, &c, held)
	l.bytes.Add(int64(c.off))
	if l.hold > 0 && ctx.Err() != nil {
		return nil // it was held to the end
	}
	if err == nil {
		err = c.whole()
	}
	if err == nil {
		l.whole.Add(1)
	}
	return err
}

// read reads a body to its end.
func (l *load) read(body io.Reader, c *check, held func()) error {
	var now int64
	var latencies []int64
	c.stamp = func(sent int64) {
		if l.measuring.Load() {
			latencies = append(latencies, now-sent)
		}
	}
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.latencies = append(l.latencies, latencies...)
	}()
	buf := make([]byte, 16<<10)
	got := 0
	for {
		n, err := body.Read(buf)
		now = time.Now().UnixNano()
		events, differs := c.feed(buf[:n])
		if differs != nil {
			return differs
		}
		l.events.Add(int64(events))
		if got += events; l.hold > 0 && got >= l.hold {
			held()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

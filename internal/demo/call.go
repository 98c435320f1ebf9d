package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

const chatPath = "/v1/chat/completions"

// client is what an agent has of the world: an address, and a credential.
type client struct {
	url        string // of the gateway
	prefix     string // of a provider's paths, "/demo"; "": the gateway knows them
	credential string
	tags       string // Recoup-Tags of its calls
	http       *http.Client
}

func newClient(url, credential string) *client {
	return &client{url: url, credential: credential, http: &http.Client{Transport: &http.Transport{}}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// answer is a response that is being read.
type answer struct {
	id      string // of the stream
	resumed string // what it continues, or "no…"
	status  string
	body    *bufio.Reader
	end     context.CancelFunc // aborts the connection, unless all was read

	events, bytes int // read so far
	last          []byte
}

func (c *client) do(ctx context.Context, method, path string, body []byte, header map[string]string) (*answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.credential)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req) //nolint:bodyclose // the answer's end closes it
	if err != nil {
		cancel()
		return nil, err
	}
	a := &answer{
		id: resp.Header.Get("Recoup-Stream-Id"), resumed: resp.Header.Get("Recoup-Resumed"), status: resp.Header.Get("Recoup-Stream-Status"),
		body: bufio.NewReader(resp.Body),
		end:  func() { cancel(); _ = resp.Body.Close() }, // it was read, or is not wanted
	}
	if resp.StatusCode != http.StatusOK {
		defer a.end()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // for the error only
		return nil, &refused{fmt.Sprintf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(text)), a.resumed, resp.StatusCode == http.StatusGone}
	}
	return a, nil
}

// refused is the error of a response that is not 200.
type refused struct {
	text, resumed string
	expired       bool
}

func (r *refused) Error() string { return r.text }

// ask makes a call. The provider is told in a header what to do with it.
func (c *client) ask(ctx context.Context, body []byte, key string, s simulator.Script) (*answer, error) {
	header := map[string]string{"Content-Type": "application/json", simulator.ScriptHeader: s.Header()}
	if key != "" {
		header["Idempotency-Key"] = key
	}
	if c.tags != "" {
		header["Recoup-Tags"] = c.tags
	}
	return c.do(ctx, http.MethodPost, c.prefix+chatPath, body, header)
}

// rest asks for what comes after the events that have been read of a stream.
func (c *client) rest(ctx context.Context, a *answer) (*answer, error) {
	path := fmt.Sprintf("/recoup/streams/%s?offset=%016d_%016d", a.id, a.events, a.bytes)
	return c.do(ctx, http.MethodGet, path, nil, nil)
}

func (c *client) cancel(ctx context.Context, a *answer) error {
	done, err := c.do(ctx, http.MethodPost, "/recoup/streams/"+a.id+"/cancel", nil, nil)
	if err == nil {
		done.end()
	}
	return err
}

// state is what the gateway says of a stream.
type state struct {
	State       string            `json:"state"`
	Cause       string            `json:"cause"`
	Connections []json.RawMessage `json:"connections"`
}

func (c *client) look(ctx context.Context, a *answer) (s state, err error) {
	r, err := c.do(ctx, http.MethodGet, "/recoup/streams/"+a.id+"/status", nil, nil)
	if err != nil {
		return s, err
	}
	defer r.end()
	return s, json.NewDecoder(r.body).Decode(&s)
}

// event reads one event. After the last it returns io.EOF, and another error if
// the answer was broken off.
func (a *answer) event() error {
	a.last = a.last[:0]
	for {
		line, err := a.body.ReadSlice('\n')
		a.last = append(a.last, line...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (err != io.EOF || len(a.last) > 0):
			return fmt.Errorf("event %d: %w", a.events, noEnd(err))
		case err != nil:
			return io.EOF
		}
		if len(line) == 1 && len(a.last) > 1 {
			a.events++
			a.bytes += len(a.last)
			return nil
		}
	}
}

func noEnd(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// upTo reads until there are n events.
func (a *answer) upTo(n int) error {
	for a.events < n {
		if err := a.event(); err != nil {
			return noEnd(err)
		}
	}
	return nil
}

var doneEvent = []byte("data: [DONE]\n\n")

// whole reads to the end, which has to be one of an answer that is complete.
func (a *answer) whole() error {
	defer a.end()
	done := false
	for {
		switch err := a.event(); {
		case err == io.EOF && done:
			return nil
		case err == io.EOF:
			return errors.New("the answer ended and was not complete")
		case err != nil:
			return err
		}
		done = bytes.Equal(a.last, doneEvent)
	}
}

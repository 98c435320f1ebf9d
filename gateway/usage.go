package gateway

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// The endpoints of which there is something to know. Streams of the first two report no usage unless asked.
const (
	endpointChat        = "/v1/chat/completions"
	endpointCompletions = "/v1/completions"
	endpointResponses   = "/v1/responses"

	endpointInteractions = "/v1beta/interactions" // Google's
)

// askForUsage lets a stream of chat or completions report its usage, where the client didn't ask
// for that: without the report, the bill is an estimate. The client is shown
// what it asked for; see relay.go.
func (g *Gateway) askForUsage(call *call) {
	if e := call.header.Endpoint; e != endpointChat && e != endpointCompletions || !call.provider.IncludeUsage || g.refusers.has(call) {
		return
	}
	if body, ok := dialect.InjectUsage(call.body); ok {
		call.body, call.plain = body, call.body
		call.header.UsageInjected = true
	}
}

// exchange sends the call and returns the provider's response and the number of
// its attempt. A provider that refuses a call with the report that the gateway
// wants is asked once more without it: nothing was generated, so that costs
// nothing.
func (g *Gateway) exchange(s *stream, call *call, req *http.Request) (*http.Response, int, error) {
	to := g.sender(call.provider, call.caller)
	resp, err := to.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusUnprocessableEntity || call.plain == nil {
		return resp, 1, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxPart)) // or the connection could not be used again
	resp.Body.Close()
	call.body, call.plain = call.plain, nil
	if err := s.log.Attempt(streamlog.Attempt{Number: 2, Started: time.Now()}); err != nil {
		return nil, 2, err
	}
	again := req.Clone(req.Context())
	setBody(again, call)
	g.metrics.UpstreamRequests.WithLabelValues(call.provider.Name).Inc()
	if resp, err = to.RoundTrip(again); err == nil && resp.StatusCode/100 == 2 {
		g.refusers.add(call)
	}
	return resp, 2, err
}

func setBody(r *http.Request, call *call) {
	r.ContentLength = int64(len(call.body))
	r.GetBody = func() (io.ReadCloser, error) { return &sentBody{bytes.NewReader(call.body)}, nil }
	r.Body, _ = r.GetBody()
}

// refusers are the models that were seen to refuse a call for the sake of the
// usage report.
type refusers struct {
	mu    sync.Mutex
	known map[[2]string]bool // provider, model
}

func (r *refusers) add(call *call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[[2]string]bool{}
	}
	if len(r.known) < maxRefusers {
		r.known[[2]string{call.provider.Name, call.header.Asked()}] = true
	}
}

func (r *refusers) has(call *call) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[[2]string{call.provider.Name, call.header.Asked()}]
}

// maxRefusers bounds what is remembered: model names come from clients.
const maxRefusers = 1000

package gateway

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/recoup-gateway/recoup/metrics"
)

// keptCalls is how many calls are remembered, for recoup doctor.
const keptCalls = 50

// seenCall is what the gateway saw of a call: nothing of what was said, and no
// credential.
type seenCall struct {
	At           time.Time `json:"at"`
	Provider     string    `json:"provider"`
	Endpoint     string    `json:"endpoint"`
	Model        string    `json:"model,omitempty"`
	Stream       string    `json:"stream,omitempty"` // its id
	Agent        string    `json:"user_agent,omitempty"`
	Credential   string    `json:"credential"`            // none, own or gateway key
	GatewayKey   string    `json:"gateway_key,omitempty"` // its id
	Idempotency  bool      `json:"idempotency_key"`
	Resume       string    `json:"recoup_resume,omitempty"`
	OnDisconnect string    `json:"recoup_on_disconnect,omitempty"`
	Streamed     bool      `json:"streamed"`
	PassThrough  bool      `json:"pass_through"`
	Retry        *int      `json:"retry_count,omitempty"` // as the SDK says it
	Resumed      string    `json:"resumed,omitempty"`     // via what it continued an earlier call
	Refused      string    `json:"refused,omitempty"`     // the code of the gateway's own error
	outlook
}

// outlook is what would have become of a call whose client had been killed.
type outlook struct {
	WouldResume bool   `json:"would_resume"`
	Why         string `json:"why"`
	Answer      string `json:"answer"` // what becomes of the answer that nobody reads
}

// calls are the last ones, in a ring.
type calls struct {
	mu   sync.Mutex
	ring [keptCalls]seenCall
	n    int // that there were
}

func (k *calls) add(s seenCall) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ring[k.n%keptCalls] = s
	k.n++
}

// list returns the calls, the newest first.
func (k *calls) list() []seenCall {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := []seenCall{}
	for i := k.n - 1; i >= max(0, k.n-keptCalls); i-- {
		list = append(list, k.ring[i%keptCalls])
	}
	return list
}

// see begins the record of a call.
func (g *Gateway) see(c echo.Context, p Provider, path string) seenCall {
	r := c.Request()
	s := seenCall{
		At: time.Now(), Provider: p.Name, Endpoint: passthroughRoute(path), Agent: agentFamily(r.UserAgent()), Credential: "none",
		Idempotency: ownHeader(r.Header, "Idempotency-Key") != "", PassThrough: true,
		Resume:       oneOf(ownHeader(r.Header, "Recoup-Resume"), resumeAuto, resumeNever),
		OnDisconnect: oneOf(ownHeader(r.Header, "Recoup-On-Disconnect"), disconnectContinue, disconnectCancel),
		outlook:      outlook{false, "passed through: only calls that generate are kept", "the provider's connection ends with the client's"},
	}
	if slices.ContainsFunc(credentials(r), func(key string) bool { return key != "" }) {
		s.Credential = "own"
	}
	if who, err := g.brings(c); err == nil && who.key != nil {
		s.Credential, s.GatewayKey = "gateway key", who.key.ID
	}
	if n, ok := retryCount(r.Header); ok {
		s.Retry = &n
	}
	return s
}

// of adds what is known of a call that generates.
func (s *seenCall) of(g *Gateway, call *call, conn *connection) {
	h := &call.header
	s.Model, s.Streamed = metrics.Text(h.Asked(), maxSpanModel), h.Streamed
	s.outlook = g.outlook(call)
	if conn != nil {
		s.Stream = conn.stream.header.ID.String()
		if conn.via != viaFirst {
			s.Resumed = conn.via
		}
	}
}

// follows adds what is known of a call that reads a stream of an earlier one.
func (s *seenCall) follows(conn *connection, route string) {
	s.PassThrough, s.Endpoint = false, route
	if conn == nil {
		return
	}
	h := &conn.stream.header
	s.Model, s.Streamed, s.Stream, s.Resumed = metrics.Text(h.Asked(), maxSpanModel), true, h.ID.String(), conn.via
	s.outlook = outlook{true, "it reads a response by its id, which it can do again", "it is kept, whether this call reads it or not"}
}

// saw remembers a call as it was refused, with err, or taken.
func (g *Gateway) saw(s seenCall, err error) {
	if err != nil {
		var e *httpError
		if s.Refused = "error"; errors.As(err, &e) {
			s.Refused = e.code
		}
		s.outlook = outlook{false, "refused: " + s.Refused, "there is none"}
	}
	g.calls.add(s)
}

// outlook tells what would have become of a call if its client had been killed and
// the same call had been made again.
func (g *Gateway) outlook(call *call) outlook {
	h := &call.header
	o := outlook{Answer: g.unread(call)}
	cancelled := h.Policy.OnDisconnect == disconnectCancel
	switch {
	case g.cfg().resumePolicy(&call.provider, call.caller) == ResumeOff:
		o.Why = "resume is off, for the gateway, the provider or this gateway key"
	case !h.Key.IsZero() && cancelled:
		o.Why = "it has an Idempotency-Key, but says Recoup-On-Disconnect: cancel"
	case !h.Key.IsZero():
		o.WouldResume, o.Why = true, "it has an Idempotency-Key: the same call with the same key continues it"
	case call.never:
		o.Why = "never: it says Recoup-Resume: never"
	case call.adopt != "" && cancelled:
		o.Why = "it may continue an earlier call, but says Recoup-On-Disconnect: cancel"
	case call.adopt == viaRetry && !g.kept(call):
		o.Why = "retry: the SDK says that it repeats a call, but nobody says that the answer is to be read on"
	case call.adopt != "":
		o.WouldResume, o.Why = true, adoptable[call.adopt]
	default:
		o.Why = "not opted in: it has no Idempotency-Key. What is kept of it can be read by its id"
	}
	return o
}

// adoptable is why a call without a key continues an earlier one.
var adoptable = map[string]string{
	viaAuto:  "auto: the same call continues it, by its content",
	viaRetry: "retry: the SDK says that it repeats a call, and the same call continues it",
}

// kept reports whether the answer to a call is read on without a client, as unread
// says.
func (g *Gateway) kept(call *call) bool {
	h := &call.header
	return h.Policy.Reclaimable || !h.Streamed || h.Policy.OnCancel == string(BilledInFull)
}

// unread is what becomes of the answer to a call whose client is gone: what
// settleDown does, in words.
func (g *Gateway) unread(call *call) string {
	h := &call.header
	switch {
	case h.Policy.OnDisconnect == disconnectCancel:
		return "cancelled at once: the call says so"
	case h.Policy.OnCancel == string(BilledInFull):
		return "read to its end: the provider bills it in full anyway"
	case !h.Streamed:
		return "read to its end: it is not streamed"
	case h.Policy.Reclaimable:
		return "read on for orphan_grace, " + g.cfg().OrphanGrace.String()
	}
	return "cancelled at once; before the first event after first_event_grace, " + g.cfg().FirstEventGrace.String()
}

// oneOf is text if it is one of these, and "other" if it is something else: what
// is not known may be anything.
func oneOf(text string, known ...string) string {
	if text == "" || slices.Contains(known, text) {
		return text
	}
	return "other"
}

const maxFamily = 40

// agentFamily is the product of a user agent, without its version.
func agentFamily(agent string) string {
	first, _, _ := strings.Cut(agent, " ")
	if name, version, ok := strings.Cut(first, "/"); ok && strings.ContainsAny(version, "0123456789") {
		first = name
	}
	return metrics.Text(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("/-_.", r):
			return r
		}
		return -1
	}, first), maxFamily)
}

// providerView is what a client has to know of a provider.
type providerView struct {
	Name     string   `json:"name"`
	Dialect  string   `json:"dialect"`
	BaseURL  string   `json:"base_url"`
	OnCancel OnCancel `json:"on_cancel"`
	Resume   Resume   `json:"resume"`
	HoldsKey bool     `json:"holds_key"` // clients bring a gateway key
}

// lastCalls is GET /api/v1/calls.
func (g *Gateway) lastCalls(c echo.Context) error {
	cfg := g.cfg()
	out := struct {
		Resume    Resume         `json:"resume"`
		Providers []providerView `json:"providers"`
		Calls     []seenCall     `json:"calls"`
	}{Resume: cfg.Resume, Calls: g.calls.list()}
	for _, p := range cfg.Providers {
		v := providerView{p.Name, "none", p.BaseURL.String(), p.OnCancel, cfg.resumeOf(&p), p.APIKey != ""}
		if p.Dialect != nil {
			v.Dialect = p.Dialect.Name()
		}
		out.Providers = append(out.Providers, v)
	}
	slices.SortFunc(out.Providers, func(a, b providerView) int { return strings.Compare(a.Name, b.Name) })
	return c.JSON(http.StatusOK, out)
}

package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// hasher makes the hashes that stand for what must not be stored.
type hasher struct{ secret []byte }

func (h hasher) sum(what string, parts ...string) (out streamlog.Hash) {
	m := hmac.New(sha256.New, h.secret)
	fmt.Fprintf(m, "%s", what)
	for _, p := range parts {
		fmt.Fprintf(m, "\x00%d\x00%s", len(p), p)
	}
	copy(out[:], m.Sum(nil))
	return out
}

// principal is who is calling: a hash of the credential, whichever header it
// came in.
func (h hasher) principal(r *http.Request) streamlog.Hash {
	return h.sum("principal", credential(r))
}

// signer is who is calling with calls that are signed with an access key.
func (h hasher) signer(accessKey string) streamlog.Hash { return h.sum("principal of AWS", accessKey) }

// principal is who is calling: by the credential, or, where the operator says so,
// by a header.
func (g *Gateway) principal(r *http.Request) (streamlog.Hash, error) {
	name := g.cfg().PrincipalHeader
	if name == "" {
		if id, signed := accessKey(r); signed {
			if !isLocal(r) {
				return streamlog.Hash{}, errUnverified
			}
			return g.hash.signer(id), nil
		}
		return g.hash.principal(r), nil
	}
	who := r.Header.Get(name)
	if who == "" {
		return streamlog.Hash{}, badRequest("no_principal", "This gateway tells its callers apart by the header %s, and the request has none. Send it.", name)
	}
	return g.hash.sum("principal of header", http.CanonicalHeaderKey(name), who), nil
}

func credential(r *http.Request) string {
	if auth := r.Header.Get("Authorization"); auth != "" {
		if scheme, token, ok := strings.Cut(auth, " "); ok && strings.EqualFold(scheme, "bearer") {
			return strings.TrimSpace(token)
		}
		return auth
	}
	for _, name := range credentialHeaders {
		if key := r.Header.Get(name); key != "" {
			return key
		}
	}
	return r.URL.Query().Get("key")
}

// ownHeader reads one of the gateway's request headers, which may also come
// with X- in front.
func ownHeader(h http.Header, name string) string {
	if v := h.Get(name); v != "" {
		return v
	}
	return h.Get("X-" + name)
}

// ownHeaders are for the gateway alone and are not sent to a provider.
var ownHeaders = []string{"Recoup-Resume", "Recoup-On-Disconnect", "Recoup-Event-Ids", "Recoup-Tags"}

const (
	maxTags     = 16
	maxTagBytes = 128
)

// tags reads Recoup-Tags: team=search,feature=chat.
func tags(header string) (map[string]string, error) {
	if header == "" {
		return nil, nil
	}
	out := map[string]string{}
	for pair := range strings.SplitSeq(header, ",") {
		k, v, ok := strings.Cut(strings.TrimSpace(pair), "=")
		k, v = strings.TrimSpace(k), strings.TrimSpace(v)
		if !ok || k == "" || len(k) > maxTagBytes || len(v) > maxTagBytes {
			return nil, fmt.Errorf("Recoup-Tags: want name=value pairs of at most %d bytes each, separated by commas", maxTagBytes)
		}
		if out[k] = v; len(out) > maxTags {
			return nil, fmt.Errorf("Recoup-Tags: at most %d tags", maxTags)
		}
	}
	return out, nil
}

// traceOf returns the caller's trace context in the W3C form, if it sent a
// valid one.
func traceOf(h http.Header) (traceparent, tracestate string) {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(h))
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return "", ""
	}
	return h.Get("Traceparent"), h.Get("Tracestate")
}

// traceAttr is the log attribute that joins a line to its trace.
func traceAttr(traceparent string) slog.Attr {
	if _, rest, ok := strings.Cut(traceparent, "-"); ok {
		if id, _, ok := strings.Cut(rest, "-"); ok {
			return slog.String("trace_id", id)
		}
	}
	return slog.Attr{}
}

// keyedMutex is a lock per hash or id, of which some share one: those that agree
// in a byte which looks random.
type keyedMutex [64]sync.Mutex

func (k *keyedMutex) of(b byte) *sync.Mutex { return &k[int(b)%len(k)] }

package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/recoup-gateway/recoup/gateway/dialect"
)

// A client that signs its calls for AWS signs the host that it calls, which is the gateway's: Amazon would refuse
// them. So they are signed anew with credentials of the gateway's own, or they are refused here. A signature can't be
// checked without the client's secret, so it says who calls only to the extent that whoever reaches the gateway is
// trusted: on this machine. From elsewhere, a gateway key says it.

// Signer signs requests with credentials that the gateway holds.
type Signer interface {
	Ready(ctx context.Context) error            // why there are no credentials
	Sign(r *http.Request, body io.Reader) error // reads the body, and sets headers of the request
}

// sigV4 is how the schemes of AWS signatures begin.
const sigV4 = "AWS4-"

// accessKey is the id of the access key that a request is signed with, in a header or in its query. It is no secret.
func accessKey(r *http.Request) (id string, ok bool) {
	scope := r.URL.Query().Get("X-Amz-Credential")
	if scheme, parameters, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.HasPrefix(scheme, sigV4) {
		scope = ""
		for parameter := range strings.SplitSeq(parameters, ",") {
			if v, found := strings.CutPrefix(strings.TrimSpace(parameter), "Credential="); found {
				scope = v
			}
		}
	}
	id, _, ok = strings.Cut(scope, "/")
	return id, ok && id != ""
}

// isLocal reports whether a request comes from a program on this machine: from loopback, and for it, or a page in a
// browser could have its own name lead here; neither passed on by a proxy nor sent by a page.
func isLocal(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() || !namesLoopback(r.Host) {
		return false
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded-") || slices.Contains(passedOn, name) {
			return false
		}
	}
	return true
}

// passedOn are headers of proxies, and of browsers.
var passedOn = []string{"Forwarded", "Via", "X-Real-Ip", "Origin", "Sec-Fetch-Site"}

// namesLoopback tells whether a host, which may have a port, is loopback by its name or address.
func namesLoopback(host string) bool {
	name := strings.ToLower((&url.URL{Host: host}).Hostname())
	address, err := netip.ParseAddr(name)
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || err == nil && address.Unmap().IsLoopback()
}

var errUnverified = keyRefused("aws_signature_unverified", "The call is signed for AWS, and only Amazon could check that. "+
	"From another machine, by another name than localhost, through a proxy or from a page in a browser, send a gateway key or a Bedrock API key (AWS_BEARER_TOKEN_BEDROCK).")

// signs reports whether the gateway signs the calls of a caller. A client with a Bedrock API key of its own is called
// for with that.
func (p Provider) signs(who caller) bool {
	return p.Signer != nil && (who.key != nil || who.signed)
}

// admitsSigned tells whether a caller whose calls are signed may call a provider.
func (p Provider) admitsSigned(who caller) error {
	switch {
	case !who.signed || who.key != nil:
		return nil
	case p.Signer != nil && who.local:
		return nil
	case p.Signer != nil:
		return errUnverified
	case p.Dialect == dialect.Bedrock:
		return &httpError{status: http.StatusForbidden, code: "aws_signature_not_forwarded", message: fmt.Sprintf(
			"The call is signed for the gateway's address, and Amazon takes only one that is signed for its own. "+
				"Send a Bedrock API key (AWS_BEARER_TOKEN_BEDROCK), or give the provider %q aws_credentials: true, and the gateway signs.", p.Name)}
	}
	return nil
}

// prepare makes sure that the gateway can sign what it is to sign, before anything is stored or sent.
func (p Provider) prepare(ctx context.Context, who caller, path string) error {
	if !p.signs(who) {
		return nil
	}
	if strings.HasSuffix(path, "/invoke-with-bidirectional-stream") {
		return &httpError{status: http.StatusNotImplemented, code: "not_signed", message: "The gateway can't sign a call whose body goes on while the answer comes. Call Bedrock itself."}
	}
	if err := p.Signer.Ready(ctx); err != nil {
		return &httpError{status: http.StatusBadGateway, code: "aws_credentials_unavailable", retryAfter: 1, err: err, message: fmt.Sprintf(
			"The gateway has no AWS credentials to call the provider %q with. Whoever runs it finds the reason in its log.", p.Name)}
	}
	return nil
}

// unsign takes a signature off, and what else came with it.
func unsign(h http.Header, u *url.URL) {
	for name := range h {
		if lower := strings.ToLower(name); slices.Contains([]string{"x-amz-date", "x-amz-security-token", "x-amz-content-sha256"}, lower) {
			delete(h, name)
		}
	}
	var kept []string
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err != nil || !strings.HasPrefix(strings.ToLower(plain), "x-amz-") {
			kept = append(kept, pair)
		}
	}
	u.RawQuery = strings.Join(kept, "&")
}

// errUnsent says that a request was not sent.
var errUnsent = errors.New("gateway: the request was not sent")

// sender is how a caller's requests reach a provider.
func (g *Gateway) sender(p Provider, who caller) http.RoundTripper {
	if !p.signs(who) {
		return g.transport
	}
	return &signing{g.transport, p.Signer, g.cfg().MaxBodyBytes}
}

// signing signs requests on their way. What is signed has the hash of the whole body in it, so one that streams is
// read first, up to a limit.
type signing struct {
	next   http.RoundTripper
	signer Signer
	limit  int64
}

func (s *signing) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	if r.GetBody == nil && r.Body != nil && r.Body != http.NoBody {
		body, err := io.ReadAll(io.LimitReader(r.Body, s.limit+1))
		_ = r.Body.Close() // it is read
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errUnsent, err)
		case int64(len(body)) > s.limit:
			return nil, &httpError{status: http.StatusRequestEntityTooLarge, code: "request_too_large", message: fmt.Sprintf(
				"The request body is larger than %d bytes, which is as much as the gateway can sign. Send less, or raise max_body_bytes of the gateway.", s.limit)}
		}
		out.ContentLength, out.TransferEncoding = int64(len(body)), nil
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		out.Body, _ = out.GetBody()
	}
	body := io.Reader(http.NoBody)
	if out.GetBody != nil {
		again, err := out.GetBody()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUnsent, err)
		}
		body = again
	}
	if err := s.signer.Sign(out, body); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsent, err)
	}
	return s.next.RoundTrip(out)
}

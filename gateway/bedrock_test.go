package gateway_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/awssign"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

const (
	bedrockModel = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
	modelPath    = "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0"
	conversePath = modelPath + "/converse-stream"
	invokePath   = modelPath + "/invoke-with-response-stream"
	converseBody = `{"messages":[{"role":"user","content":[{"text":"hello"}]}],"inferenceConfig":{"maxTokens":4096}}`
	invokeBody   = `{"anthropic_version":"bedrock-2023-05-31","max_tokens":4096,"messages":[{"role":"user","content":"hello"}]}`
)

// framesOf cuts a body into the frames of an AWS event stream.
func framesOf(data []byte) (frames [][]byte) {
	sp := dialect.NewEventStream(1 << 30)
	for _, p := range sp.Feed(data) {
		frames = append(frames, bytes.Clone(p.Data))
	}
	for _, p := range sp.Flush() {
		frames = append(frames, bytes.Clone(p.Data))
	}
	return frames
}

// withoutCutOff takes off the last frame of an answer if it is the exception by which the gateway says that it breaks
// off, as it has to be there or not.
func withoutCutOff(t testing.TB, body []byte, want bool) []byte {
	t.Helper()
	frames := framesOf(body)
	n := len(frames)
	cut := false
	if n > 0 {
		m, err := eventstream.NewDecoder().Decode(bytes.NewReader(frames[n-1]), nil)
		if err != nil {
			t.Fatalf("the last of %d frames: %v", n, err)
		}
		cut = fmt.Sprint(m.Headers.Get(":exception-type")) == "modelStreamErrorException" && strings.Contains(string(m.Payload), "did not finish its answer")
	}
	if cut != want {
		t.Fatalf("an exception at the end of %d frames: %v, want %v", n, cut, want)
	}
	if cut {
		body = body[:len(body)-len(frames[n-1])]
	}
	return body
}

// Where a guardrail cuts in, InvokeModel has no end but that of its body: the answer is whole if that ends well, and
// not if it breaks off, or if something else comes.
func TestAnAnswerThatAGuardrailCuts(t *testing.T) {
	s := newSite(t)
	var rec recording
	for _, r := range recordings(t) {
		if strings.Contains(r.File, "guardrail-invoke-stream") {
			rec = r
		}
	}
	for _, test := range []struct {
		cut   simulator.Cut
		more  []byte
		after int
		state streamlog.State
	}{
		{state: streamlog.Completed},
		{cut: simulator.CutFIN, after: len(rec.body), state: streamlog.Interrupted},
		{cut: simulator.CutClean, after: len(rec.body) - 1, state: streamlog.Interrupted},
		{more: []byte("x"), state: streamlog.Interrupted},
		{more: rec.body, state: streamlog.Completed},
	} {
		sc := rec.script(t)
		sc.Replay.Data = append(bytes.Clone(rec.body), test.more...)
		sc.Cut, sc.CutAfterBytes = test.cut, test.after
		s.sim.Next(sc)
		resp, got, err := s.all(http.MethodPost, rec.path, rec.request, nil)
		want := sc.Replay.Data
		if test.after > 0 {
			want = want[:test.after]
		}
		want = want[:len(want)-len(want)%len(rec.body)] // nothing of half a frame
		sameBytes(t, string(test.cut), withoutCutOff(t, got, test.state != streamlog.Completed), want)
		info := s.getInfo(resp.Header.Get("Recoup-Stream-Id"))
		if info.State != test.state || info.Terminal != (err == nil) || (err == nil) != (test.state == streamlog.Completed) {
			t.Errorf("%q after %d and %d more: %s, terminal %v, %v", test.cut, test.after, len(test.more), info.State, info.Terminal, err)
		}
	}
}

// A call of Bedrock's is billed as the provider does, in all its forms, and its model is the one in its path.
func TestBedrockBooks(t *testing.T) {
	s := newSite(t)
	for path, body := range map[string]string{
		conversePath: converseBody, modelPath + "/converse": converseBody, invokePath: invokeBody, modelPath + "/invoke": invokeBody,
		"/bedrock/model/amazon.titan-text-express-v1/invoke":                      `{"inputText":"hello"}`,
		"/bedrock/model/amazon.titan-text-express-v1/invoke-with-response-stream": `{"inputText":"hello"}`,
	} {
		resp, _ := s.must(200, http.MethodPost, path, body, script(simulator.Script{Tokens: 20, Hidden: 5, Input: 100}))
		info := s.getInfo(resp.Header.Get("Recoup-Stream-Id"))
		model := bedrockModel
		if strings.Contains(path, "titan") {
			model = "amazon.titan-text-express-v1"
		}
		if h := info.Header; h.Model != model || h.Provider != "bedrock" || h.Streamed != strings.Contains(path, "stream") {
			t.Errorf("%s: %+v", path, h)
		}
		if info.Head.RequestID == "" {
			t.Errorf("%s: no request id of the provider's", path)
		}
	}
	s.expire()
	s.sameBill()
}

// The gateway's own errors have the shape of AWS's.
func TestBedrockErrorsOfTheGateway(t *testing.T) {
	s := newSite(t)
	for _, test := range []struct {
		path, body, kind string
		status           int
		header           header
	}{
		{conversePath, `[`, "ValidationException", 400, nil},
		{"/bedrock" + conversePath, `[`, "ValidationException", 400, nil},
		{conversePath, converseBody, "AccessDeniedException", 403, header{"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261129/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=00"}},
		{conversePath + "?X-Amz-Credential=AKIAEXAMPLE%2F20261129", converseBody, "AccessDeniedException", 403, header{"Authorization": ""}},
		{modelPath + "/count-tokens", converseBody, "AccessDeniedException", 403, header{"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261129/us-east-1/bedrock/aws4_request"}},
	} {
		resp, body := s.must(test.status, http.MethodPost, test.path, test.body, test.header)
		if got := resp.Header.Get("X-Amzn-Errortype"); got != test.kind || !strings.HasPrefix(string(body), `{"message":"The `) {
			t.Errorf("%s: %s: %s", test.path, got, body)
		}
	}
	if n := s.sim.Calls(); n != 0 {
		t.Errorf("the provider was called %d times", n)
	}
	s2 := newSite(t, func(s *site) { delete(s.config.Providers, "bedrock") })
	if resp, body := s2.must(404, http.MethodPost, conversePath, converseBody, nil); resp.Header.Get("X-Amzn-Errortype") != "ResourceNotFoundException" {
		t.Errorf("no such provider: %v %s", resp.Header, body)
	}
}

// A guardrail is chosen in a header, so it tells calls apart, and so does a model.
func TestBedrockCallsThatDiffer(t *testing.T) {
	s := newSite(t)
	key := header{"Idempotency-Key": "run:step"}
	s.must(200, http.MethodPost, invokePath, invokeBody, key)
	again, _ := s.must(200, http.MethodPost, invokePath, invokeBody, key)
	if got := again.Header.Get("Recoup-Resumed"); got != "key" {
		t.Errorf("resumed %q", got)
	}
	s.must(422, http.MethodPost, invokePath, invokeBody, with(key, "X-Amzn-Bedrock-GuardrailIdentifier", "g"))
	s.must(422, http.MethodPost, strings.Replace(invokePath, "haiku", "sonnet", 1), invokeBody, key)
	s.must(422, http.MethodPost, modelPath+"/invoke", invokeBody, key)
	// Frames have no room for the numbers of events.
	plain, _ := s.must(200, http.MethodPost, conversePath, converseBody, header{"Recoup-Event-Ids": "on", "X-Simulator-Script": simulator.Script{Seed: 5}.Header()})
	_, want := s.must(200, http.MethodGet, "/recoup/streams/"+plain.Header.Get("Recoup-Stream-Id"), "", nil)
	_, got := s.must(200, http.MethodGet, "/recoup/streams/"+plain.Header.Get("Recoup-Stream-Id"), "", header{"Recoup-Event-Ids": "on"})
	sameBytes(t, "with numbers", got, want)
}

// AWS's SDKs count their attempts: the second of a call that broke off continues the first.
func TestAnAWSRetryContinuesItsCall(t *testing.T) {
	s := newSite(t)
	s.sim.Next(simulator.Script{Tokens: 30, StallAfterEvents: 5})
	first := s.do(http.MethodPost, conversePath, converseBody, header{"Amz-Sdk-Request": "attempt=1; max=3"})
	readUntil(t, first.Body, 100)
	first.Body.Close()
	id := first.Header.Get("Recoup-Stream-Id")
	s.awaitConnections(id, 0)
	s.releaseStalled()
	again, _ := s.must(200, http.MethodPost, conversePath, converseBody, header{"Amz-Sdk-Request": "attempt=2; max=3"})
	if got := again.Header.Get("Recoup-Resumed"); got != "retry" || again.Header.Get("Recoup-Stream-Id") != id || s.sim.Calls() != 1 {
		t.Errorf("resumed %q, %d calls", got, s.sim.Calls())
	}
}

var gatewayCredentials = aws.Credentials{AccessKeyID: "AKIAOFGATEWAY", SecretAccessKey: "of the gateway", SessionToken: "its session"}

// signing has the gateway sign for a provider, which keeps what it was sent.
func signing(seen *received) option {
	return func(s *site) {
		up, err := url.Parse(s.provider)
		if err != nil {
			s.t.Fatal(err)
		}
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen.forward(s.t, w, r, up) }))
		seen.transport = &http.Transport{}
		s.t.Cleanup(func() {
			front.Close()
			seen.transport.CloseIdleConnections()
		})
		p := s.config.Providers["bedrock"]
		p.BaseURL, err = url.Parse(front.URL)
		if err != nil {
			s.t.Fatal(err)
		}
		p.AWSCredentials, p.Signer = true, awssign.With(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return gatewayCredentials, seen.fail() }), "us-east-1")
		s.config.Providers["bedrock"] = p
	}
}

// withoutHeldKeys gives the gateway keys of its own, and none of a provider's.
func withoutHeldKeys(s *site) {
	holding(s)
	for name, p := range s.config.Providers {
		p.APIKeyEnv, p.APIKey = "", ""
		s.config.Providers[name] = p
	}
}

// received are requests as a provider gets them.
type received struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   [][]byte
	refuse   error // to give credentials

	transport *http.Transport
}

func (x *received) fail() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.refuse
}

func (x *received) forward(t testing.TB, w http.ResponseWriter, r *http.Request, to *url.URL) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	x.mu.Lock()
	x.requests, x.bodies = append(x.requests, r.Clone(context.WithoutCancel(r.Context()))), append(x.bodies, body)
	x.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	proxy := httputil.ReverseProxy{Transport: x.transport, FlushInterval: -1, Rewrite: func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host = to.Scheme, to.Host }}
	proxy.ServeHTTP(w, r)
}

// verify recomputes the newest request's signature, from what arrived, as Amazon does.
func (x *received) verify(t testing.TB) *http.Request {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	r, body := x.requests[len(x.requests)-1], x.bodies[len(x.bodies)-1]
	given := r.Header.Get("Authorization")
	_, list, _ := strings.Cut(given, "SignedHeaders=")
	list, _, _ = strings.Cut(list, ",")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || list == "" {
		t.Fatalf("%v, signed with %q", err, given)
	}
	again := &http.Request{Method: r.Method, Host: r.Host, Header: http.Header{}}
	if again.URL, err = url.Parse("http://" + r.Host + r.RequestURI); err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(list, ";") {
		switch name {
		case "host":
		case "content-length":
			again.ContentLength = int64(len(body))
		default:
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	hash := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(t.Context(), gatewayCredentials, again, hex.EncodeToString(hash[:]), "bedrock", "us-east-1", at); err != nil {
		t.Fatal(err)
	}
	if want := again.Header.Get("Authorization"); given != want || !strings.Contains(given, "AKIAOFGATEWAY") {
		t.Errorf("signed with\n%s\nwant\n%s", given, want)
	}
	return r
}

// The gateway signs what a client has signed for it, whatever is called, and nothing of the client's signature goes
// on.
func TestTheGatewaySignsAnew(t *testing.T) {
	seen := &received{}
	s := newSite(t, signing(seen))
	signed := header{
		"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAOFCLIENT/20261129/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=of-client",
		"X-Amz-Date":    "20200101T000000Z", "X-Amz-Security-Token": "session-of-client", "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
		"X-Amzn-Bedrock-Trace": "ENABLED", "Idempotency-Key": "",
	}
	for i, call := range []struct{ method, path, body string }{
		{http.MethodPost, conversePath, converseBody},
		{http.MethodPost, "/bedrock" + invokePath, invokeBody},
		{http.MethodPost, "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.anthropic.m-v1%3A0/converse", converseBody},
		{http.MethodPost, modelPath + "/count-tokens", `{"input":{"converse":{}}}`},
		{http.MethodGet, "/async-invoke?statusEquals=Completed&maxResults=5", ""},
		{http.MethodGet, "/async-invoke?X%2DAmz-Credential=AKIAOFCLIENT%2F20261129&x-amz-security-token=session-of-client&maxResults=5", ""},
	} {
		resp, _, err := s.all(call.method, call.path, call.body, signed)
		if want := map[bool]int{true: 200, false: 404}[call.method == http.MethodPost]; err != nil || resp.StatusCode != want {
			t.Fatalf("%s: %d, %v", call.path, resp.StatusCode, err)
		}
		r := seen.verify(t)
		var sent bytes.Buffer
		if err := r.Header.Write(&sent); err != nil {
			t.Fatal(err)
		}
		if text := sent.String() + r.RequestURI; strings.Contains(text, "OFCLIENT") || strings.Contains(text, "of-client") || strings.Contains(text, "UNSIGNED") {
			t.Errorf("%s: sent on: %s", call.path, text)
		}
		if len(seen.requests) != i+1 || r.Header.Get("X-Amzn-Bedrock-Trace") != "ENABLED" {
			t.Errorf("%s: %d requests, %v", call.path, len(seen.requests), r.Header)
		}
	}
}

// Whose access key it is says who calls: a stream is found again whatever the signature is, and by nobody else.
func TestASignedCallComesBackByItsAccessKey(t *testing.T) {
	seen := &received{}
	s := newSite(t, signing(seen))
	by := func(id, signature string) header {
		return header{"Authorization": "AWS4-HMAC-SHA256 Credential=" + id + "/20261129/us-east-1/bedrock/aws4_request,SignedHeaders=host,Signature=" + signature, "Idempotency-Key": "run:step"}
	}
	first, want := s.must(200, http.MethodPost, conversePath, converseBody, by("AKIAONE", "01"))
	path := "/recoup/streams/" + first.Header.Get("Recoup-Stream-Id")
	again, got := s.must(200, http.MethodPost, conversePath, converseBody, by("AKIAONE", "02"))
	sameBytes(t, "again", got, want)
	if again.Header.Get("Recoup-Resumed") != "key" || len(seen.requests) != 1 {
		t.Errorf("resumed %q, %d requests", again.Header.Get("Recoup-Resumed"), len(seen.requests))
	}
	s.must(200, http.MethodGet, path, "", by("AKIAONE", "03"))
	s.must(404, http.MethodGet, path, "", by("AKIATWO", "03"))
	s.must(404, http.MethodGet, path, "", header{"Authorization": "Bearer AKIAONE"})
	s.must(404, http.MethodGet, path, "", header{"Authorization": "Bearer AWS4-HMAC-SHA256 Credential=AKIAONE/x"})
}

// From another machine an access key's id, which is no secret, opens nothing.
func TestASignedCallFromElsewhereIsRefused(t *testing.T) {
	seen := &received{}
	s := newSite(t, signing(seen), func(s *site) {
		s.wrap = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("From-Elsewhere") != "" {
					r.RemoteAddr = "192.0.2.7:4711"
				}
				if host := r.Header.Get("By-Name"); host != "" {
					r.Host = host
				}
				next.ServeHTTP(w, r)
			})
		}
	})
	signed := header{"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAONE/20261129/us-east-1/bedrock/aws4_request,SignedHeaders=host,Signature=01"}
	first, _ := s.must(200, http.MethodPost, conversePath, converseBody, signed)
	elsewhere := with(signed, "From-Elsewhere", "yes")
	for _, path := range []string{conversePath, modelPath + "/count-tokens"} {
		resp, body := s.must(401, http.MethodPost, path, converseBody, elsewhere)
		if resp.Header.Get("X-Amzn-Errortype") != "AccessDeniedException" || !strings.Contains(string(body), "send a gateway key") {
			t.Errorf("%s: %s", path, body)
		}
	}
	s.must(401, http.MethodGet, "/recoup/streams/"+first.Header.Get("Recoup-Stream-Id"), "", elsewhere)
	if len(seen.requests) != 1 {
		t.Errorf("%d requests", len(seen.requests))
	}
	// Nor does it behind a proxy on this machine, nor from a page in a browser here, whatever name leads it here.
	for _, h := range []header{
		{"X-Forwarded-For": "192.0.2.7"}, {"X-Forwarded-Proto": "https"}, {"Forwarded": "for=192.0.2.7"}, {"Via": "1.1 proxy"}, {"X-Real-Ip": "192.0.2.7"},
		{"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}, {"By-Name": "evil.test:8484"}, {"By-Name": "localhost.evil.test"},
	} {
		for name, value := range h {
			s.must(401, http.MethodPost, conversePath, converseBody, with(signed, name, value))
			s.must(401, http.MethodPost, conversePath+"?X-Amz-Credential=AKIAONE%2F20261129", converseBody, header{"Authorization": "", name: value})
			s.must(401, http.MethodGet, "/recoup/streams/"+first.Header.Get("Recoup-Stream-Id"), "", with(signed, name, value))
		}
	}
	if len(seen.requests) != 1 {
		t.Errorf("%d requests", len(seen.requests))
	}
	for _, host := range []string{"localhost:8484", "recoup.localhost", "[::1]:8484"} {
		s.must(200, http.MethodGet, "/recoup/streams/"+first.Header.Get("Recoup-Stream-Id"), "", with(signed, "By-Name", host))
	}
	// A Bedrock API key is Amazon's to check.
	s.must(200, http.MethodPost, conversePath, converseBody, header{"Authorization": "Bearer bedrock-api-key", "From-Elsewhere": "yes"})
	if got := seen.requests[1].Header.Get("Authorization"); got != "Bearer bedrock-api-key" {
		t.Errorf("sent with %q", got)
	}
}

// A client with a gateway key is signed for, wherever it puts the key, and from wherever it calls.
func TestAGatewayKeyIsSignedFor(t *testing.T) {
	seen := &received{}
	s := newSite(t, withoutHeldKeys, signing(seen), func(s *site) {
		s.wrap = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.RemoteAddr = "192.0.2.7:4711"
				next.ServeHTTP(w, r)
			})
		}
	})
	key := s.newKey("")
	for _, h := range []header{
		{"Authorization": "Bearer " + key},
		{"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAONE/20261129/us-east-1/bedrock/aws4_request,SignedHeaders=host,Signature=01", "X-Api-Key": key},
	} {
		s.must(200, http.MethodPost, conversePath, converseBody, h)
		r := seen.verify(t)
		if r.Header.Get("X-Api-Key") != "" {
			t.Error("the gateway key was sent on")
		}
	}
}

// Without credentials nothing is stored, sent or billed.
func TestNoAWSCredentials(t *testing.T) {
	seen := &received{refuse: errors.New("no role")}
	s := newSite(t, signing(seen))
	signed := header{"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAONE/20261129/us-east-1/bedrock/aws4_request,SignedHeaders=host,Signature=01"}
	for _, path := range []string{conversePath, modelPath + "/count-tokens"} {
		resp, body := s.must(502, http.MethodPost, path, converseBody, signed)
		if !strings.Contains(string(body), "no AWS credentials") || strings.Contains(string(body), "no role") || resp.Header.Get("Recoup-Stream-Id") != "" {
			t.Errorf("%s: %s", path, body)
		}
	}
	s.must(501, http.MethodPost, modelPath+"/invoke-with-bidirectional-stream", "{}", signed)
	if len(seen.requests) != 0 {
		t.Errorf("%d requests", len(seen.requests))
	}
}

// What is passed through is read to be signed, up to the limit.
func TestALargeBodyIsNotSigned(t *testing.T) {
	seen := &received{}
	s := newSite(t, signing(seen), func(s *site) { s.config.MaxBodyBytes = 1000 })
	signed := header{"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAONE/20261129/us-east-1/bedrock/aws4_request,SignedHeaders=host,Signature=01"}
	s.must(200, http.MethodPost, modelPath+"/count-tokens", strings.Repeat(" ", 1000), signed)
	seen.verify(t)
	resp, body := s.must(413, http.MethodPost, modelPath+"/count-tokens", strings.Repeat(" ", 1001), signed)
	if resp.Header.Get("X-Amzn-Errortype") != "ValidationException" || !strings.Contains(string(body), "as much as the gateway can sign") || len(seen.requests) != 1 {
		t.Errorf("%s, %d requests", body, len(seen.requests))
	}
}

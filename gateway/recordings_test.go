package gateway_test

import (
	"bytes"
	"context"
	"fmt"

	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// recording is a recorded stream of one of the dialects that are drained.
type recording struct {
	simulator.Recording
	path, request string
	media         string // its type
	body          []byte
	events        [][]byte
	whole         bool // it has its terminal event, with its blank line
}

func recordings(t testing.TB) []recording {
	t.Helper()
	dir := os.Getenv("RECOUP_STREAMS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "streams")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no recorded streams: set RECOUP_STREAMS")
	}
	all, err := simulator.Recordings(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []recording
	for _, r := range all {
		rec := recording{Recording: r, media: r.ContentType()}
		var d dialect.Dialect
		switch r.Dialect {
		case "openai-chat":
			d, rec.path, rec.request = dialect.OpenAI, chatPath, chatBody
		case "openai-responses":
			d, rec.path, rec.request = dialect.OpenAI, responsesPath, responsesBody
		case "openai-completions":
			d, rec.path, rec.request = dialect.OpenAI, completionsPath, completionsBody
		case "anthropic":
			d, rec.path, rec.request = dialect.Anthropic, messagesPath, messagesBody
		case "gemini":
			d, rec.path, rec.request = dialect.Gemini, geminiEventsPath, geminiBody
		case "gemini-interactions":
			d, rec.path, rec.request = dialect.Gemini, interactionsPath, interactionsBody
		case "cohere-v2":
			d, rec.path, rec.request = dialect.Cohere, coherePath, cohereBody
		case "bedrock-converse":
			d, rec.path, rec.request = dialect.Bedrock, conversePath, converseBody
		case "bedrock-invoke":
			d, rec.path, rec.request = dialect.Bedrock, invokePath, invokeBody
		default:
			continue
		}
		if rec.body, err = r.Body(); err != nil {
			t.Fatal(err)
		}
		rec.events = eventsOf(rec.body)
		if d == dialect.Bedrock {
			rec.events = framesOf(rec.body)
		}
		rec.whole = hasTerminal(d, rec)
		out = append(out, rec)
		if r.Dialect == "gemini" {
			out = append(out, rec.asArray())
		}
	}
	if len(out) == 0 {
		t.Fatal("no recordings of the dialects")
	}
	return out
}

func hasTerminal(d dialect.Dialect, rec recording) bool {
	req := rec.call(d)
	seen := d.Observe(req, rec.media)
	closing := false // the last one is an end, as nothing follows
	for _, p := range req.Framing(rec.media, 1<<30).Feed(rec.body) {
		sign := seen.Event(p.Data)
		if p.Whole && sign&dialect.Terminal != 0 {
			return true
		}
		closing = p.Whole && sign&dialect.Closing != 0
	}
	return closing
}

// call is the call that the recording answers.
func (r recording) call(d dialect.Dialect) dialect.Request {
	path, query, _ := strings.Cut(r.path, "?")
	endpoint, _ := d.Endpoint(path)
	return dialect.Locate(d, dialect.Request{Endpoint: endpoint, Stream: true, Choices: 1}, path, query)
}

func (r recording) script(t testing.TB, cuts ...int) simulator.Script {
	t.Helper()
	r.File = strings.TrimSuffix(r.File, arraySuffix)
	s, err := simulator.ReplayOf(r.Recording, cuts...)
	if err != nil {
		t.Fatal(err)
	}
	s.Replay.Data, s.Replay.ContentType = r.body, r.media
	return s
}

// TestRecordingsAreRelayedByteForByte replays each recording with its writes
// cut in odd places. What is booked is the usage that it reports.
func TestRecordingsAreRelayedByteForByte(t *testing.T) {
	s := newSite(t)
	for i, rec := range recordings(t) {
		var cuts []int
		for at := 1 + i%7; at < len(rec.body); at += 1 + (at*31+i)%977 {
			cuts = append(cuts, at)
		}
		s.sim.Next(rec.script(t, cuts...))
		resp, got, err := s.all(http.MethodPost, rec.path, rec.request, nil)
		sameBytes(t, rec.File, got, rec.body)
		if rec.whole != (err == nil) {
			t.Errorf("%s: has its terminal event: %v, ended with %v", rec.File, rec.whole, err)
		}
		_, again, _ := s.all(http.MethodGet, "/recoup/streams/"+resp.Header.Get("Recoup-Stream-Id"), "", nil)
		sameBytes(t, rec.File+" read again", again, rec.body)
		s.reports(rec, resp.Header.Get("Recoup-Stream-Id"))
	}
}

// tenRecordings picks those that are whole, at most five of each dialect and form.
func tenRecordings(t testing.TB) []recording {
	var out []recording
	for _, rec := range recordings(t) {
		if rec.whole && len(rec.events) < 80 && terminalIndex(rec) >= 0 {
			out = append(out, rec)
		}
	}
	if len(out) < 10 {
		t.Fatalf("only %d recordings fit", len(out))
	}
	dialects := map[string]int{}
	var ten []recording
	for _, rec := range out {
		if dialects[rec.Dialect]++; dialects[rec.Dialect] <= 5 {
			ten = append(ten, rec)
		}
	}
	return ten
}

// TestClientCutAtEveryEvent kills the client after each event and resumes by
// key and by id: what was joined is the original, and the provider was called
// once.
func TestClientCutAtEveryEvent(t *testing.T) {
	for _, rec := range tenRecordings(t) {
		t.Run(rec.File, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			size := 0
			for k, event := range rec.events {
				size += len(event)
				s.sim.Next(stallable(rec.script(t), size))
				h := header{"Idempotency-Key": fmt.Sprint("run:", k)}
				first := s.do(http.MethodPost, rec.path, rec.request, h)
				head := readUntil(t, first.Body, size)
				first.Body.Close()
				if size < len(rec.body) {
					s.releaseStalled()
				}
				id := first.Header.Get("Recoup-Stream-Id")

				_, tail := s.must(200, http.MethodGet, fmt.Sprintf("/recoup/streams/%s?offset=%016d_%016d", id, k+1, size), "", nil)
				sameBytes(t, fmt.Sprintf("cut after event %d, joined by id", k), append(head, tail...), rec.body)
				resumed, byKey := s.must(200, http.MethodPost, rec.path, rec.request, h)
				sameBytes(t, fmt.Sprintf("cut after event %d, by key", k), byKey, rec.body)
				if got := resumed.Header.Get("Recoup-Resumed"); got != "key" || resumed.Header.Get("Recoup-Stream-Id") != id {
					t.Fatalf("resumed by key: Recoup-Resumed %q, stream %q instead of %q", got, resumed.Header.Get("Recoup-Stream-Id"), id)
				}
				if n := s.sim.Calls(); n != k+1 {
					t.Fatalf("cut after event %d: the provider was called %d times for %d calls", k, n, k+1)
				}
			}
		})
	}
}

// releaseStalled waits for the provider to stall, and lets it go on.
func (s *site) releaseStalled() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.sim.WaitStalled(ctx, 1); err != nil {
		s.t.Fatal(err)
	}
	s.sim.Release()
}

// stallable makes the provider wait after size bytes, if there are more.
func stallable(sc simulator.Script, size int) simulator.Script {
	if size < len(sc.Replay.Data) {
		sc.StallAfterBytes = size
	}
	return sc
}

// TestProviderCutAtEveryEvent cuts the provider after each event, in three
// ways: what has no terminal event must not look complete.
func TestProviderCutAtEveryEvent(t *testing.T) {
	for _, rec := range tenRecordings(t) {
		t.Run(rec.File, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			terminal := terminalIndex(rec)
			for _, cut := range []simulator.Cut{simulator.CutFIN, simulator.CutRST, simulator.CutClean} {
				size := 0
				for k, event := range rec.events {
					size += len(event)
					sc := rec.script(t)
					sc.CutAfterBytes, sc.Cut = size, cut
					s.sim.Next(sc)
					resp, got, err := s.all(http.MethodPost, rec.path, rec.request, nil)
					if rec.Framing == "aws-eventstream" && err != nil {
						got = withoutCutOff(t, got, true)
					}
					id := resp.Header.Get("Recoup-Stream-Id")
					state := s.getInfo(id).State
					if cut != simulator.CutRST { // a reset may take what was on its way
						sameBytes(t, fmt.Sprintf("%s after event %d", cut, k), got, rec.body[:size])
					} else if !bytes.HasPrefix(rec.body, got) {
						t.Fatalf("%s after event %d: %d bytes that are no prefix", cut, k, len(got))
					}
					complete := k >= terminal && (cut != simulator.CutRST || state == streamlog.Completed)
					if complete != (err == nil) || complete != (state == streamlog.Completed) {
						t.Fatalf("%s after event %d (terminal: %d): body ended with %v, stream is %s", cut, k, terminal, err, state)
					}
					if !complete && !aborted(err) {
						t.Fatalf("%s after event %d: the body ended with %v, which is no abort", cut, k, err)
					}
				}
			}
		})
	}
}

func terminalIndex(rec recording) int {
	d, ok := dialect.Named(map[string]string{chatPath: "openai", responsesPath: "openai", completionsPath: "openai", messagesPath: "anthropic", coherePath: "cohere"}[rec.path])
	switch {
	case strings.HasPrefix(rec.path, "/model/"):
		d = dialect.Bedrock
	case !ok:
		d = dialect.Gemini
	}
	seen := d.Observe(rec.call(d), rec.media)
	for i, e := range rec.events {
		if seen.Event(e)&dialect.Terminal != 0 {
			return i
		}
	}
	return -1
}

func (s *site) getInfo(id string) streamlog.Info {
	s.t.Helper()
	parsed, err := streamlog.ParseID(id)
	if err != nil {
		s.t.Fatal(err)
	}
	st := s.get(parsed)
	defer st.Release()
	return st.Info()
}

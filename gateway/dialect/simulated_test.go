package dialect_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// An attempt is one call of the simulator and what was read of its answer.
type attempt struct {
	t        *testing.T
	dialect  dialect.Dialect
	observer dialect.Observer
	text     *dialect.TextReader
	texts    map[dialect.TextPart]string
	media    string
	bill     simulator.Entry
}

// ask makes a call and reads the answer, events and reads alike, and hides the last lost ones of them.
func ask(t *testing.T, script simulator.Script, path, body string, lost int) attempt {
	t.Helper()
	sim := simulator.New(simulator.Options{})
	server := httptest.NewServer(sim.Handler())
	defer server.Close()
	sim.Next(script)
	call, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	call.Header.Set("Authorization", "Bearer key")
	if path == "/v1/messages" {
		call.Header.Set("Anthropic-Version", "2023-06-01")
	}
	resp, err := server.Client().Do(call)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := attempt{t: t, dialect: dialect.OpenAI, media: resp.Header.Get("Content-Type"), texts: map[dialect.TextPart]string{}}
	switch {
	case path == "/v1/messages":
		a.dialect = dialect.Anthropic
	case strings.HasPrefix(path, "/v1beta/"):
		a.dialect = dialect.Gemini
	}
	endpoint, _ := a.dialect.Endpoint(call.URL.Path)
	req, err := a.dialect.Parse(endpoint, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	req = dialect.Locate(a.dialect, req, call.URL.Path, call.URL.RawQuery)
	a.observer = a.dialect.Observe(req, a.media)
	a.text = dialect.NewTextReader(a.dialect, req, a.media)
	if err := sim.WaitEnded(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	a.bill = sim.Bill()[0]
	a.read(answer, req.Framing(a.media, 0), lost)
	return a
}

func (a *attempt) read(answer []byte, framing dialect.Framing, lost int) {
	var events [][]byte
	if framing != nil {
		for _, p := range framing.Feed(answer) {
			events = append(events, p.Data)
		}
	} else {
		events = slices.Collect(slices.Chunk(answer, 100))
	}
	for _, e := range events[:len(events)-lost] {
		a.observer.Event(e)
		a.text.Event(e, false, a.emit)
	}
	a.text.Flush(a.emit)
}

func (a *attempt) emit(p dialect.TextPart, text []byte) {
	if len(text) == 0 {
		a.t.Errorf("an empty piece of %+v", p)
	}
	a.texts[p] += string(text)
}

const (
	responseCall   = `{"model":"gpt-5.5","stream":%v,"input":"hi"}`
	completionCall = `{"model":"gpt-5.5","stream":%v,"stream_options":{"include_usage":true},"n":2,"prompt":"hi"}`

	chatCall    = `{"model":"gpt-5.5","stream":%v,"stream_options":{"include_usage":true},"n":2,"messages":[]}`
	messageCall = `{"model":"claude-sonnet-4-5","stream":%v,"max_tokens":4096,"messages":[]}`
)

// The usage that is read of any form of an answer is what the simulator bills.
func TestSimulatedUsage(t *testing.T) {
	script := simulator.Script{
		Tokens: 30, Hidden: 17, Tools: []simulator.Tool{{Name: "look", Arguments: `{"a":"b"}`}},
		Input: 1000, CacheRead: 256, CacheWrite: 64, CacheWrite1h: 32,
	}
	for _, place := range []simulator.UsagePlace{simulator.UsageAsked, simulator.UsageAlways, simulator.UsageFinish, simulator.UsageGroq, simulator.UsageEvery, simulator.UsageXAI, simulator.UsageNone} {
		for _, stream := range []bool{true, false} {
			for path, call := range map[string]string{"/v1/chat/completions": chatCall, "/v1/messages": messageCall, "/v1/responses": responseCall, "/v1/completions": completionCall} {
				if odd := !slices.Contains([]simulator.UsagePlace{simulator.UsageAsked, simulator.UsageAlways, simulator.UsageNone}, place); odd && path == "/v1/completions" {
					continue // nobody does that
				}
				t.Run(fmt.Sprint(place, stream, path), func(t *testing.T) {
					s := script
					s.Usage = place
					if path != "/v1/messages" {
						s.CacheWrite1h = 0 // it has but one kind
					}
					a := ask(t, s, path, fmt.Sprintf(call, stream), 0)
					u, final := a.observer.Usage()
					if place == simulator.UsageNone {
						if u.Output.IsKnown() || final {
							t.Errorf("usage %+v, final %v, of an answer without", u, final)
						}
						return
					}
					got := []int64{u.Input.Or(-1), u.CacheRead.Or(-1), u.CacheWrite5m.Or(-1), u.CacheWrite1h.Or(0), u.Output.Or(-1), u.Reasoning.Or(0)}
					b := a.bill
					want := []int64{int64(b.Input), int64(b.CacheRead), int64(b.CacheWrite), int64(b.CacheWrite1h), int64(b.Billed), int64(b.Hidden)}
					if !slices.Equal(got, want) || !final {
						t.Errorf("usage %d, final %v; billed are %d", got, final, want)
					}
				})
			}
		}
	}
}

// Running usage is what was generated so far, and not final.
func TestSimulatedRunningUsage(t *testing.T) {
	a := ask(t, simulator.Script{Tokens: 30, Usage: simulator.UsageEvery}, "/v1/chat/completions", `{"model":"m","stream":true}`, 12)
	if u, final := a.observer.Usage(); u.Output.Or(-1) != 20 || final {
		t.Errorf("output %v, final %v, want 20 of 30", u.Output, final)
	}
}

// A stream and a body of the same answer have the same text.
func TestSimulatedText(t *testing.T) {
	const said, called = "How much wood, \"they\" say\nä 木 😀", `{"a":"b \"c\"","d":[1,2]}`
	script := simulator.Script{Text: said, Tools: []simulator.Tool{{Name: "look", Arguments: called}, {Name: "see", Arguments: `{}`}}}
	for path, call := range map[string]string{"/v1/chat/completions": chatCall, "/v1/messages": messageCall, "/v1/responses": responseCall} {
		for _, shown := range []bool{true, false} {
			for _, stream := range []bool{true, false} {
				t.Run(fmt.Sprint(path, shown, stream), func(t *testing.T) {
					s := script
					s.Hidden, s.ShowHidden = 5, shown
					a := ask(t, s, path, fmt.Sprintf(call, stream), 0)
					thinking := dialect.TextPart{Kind: dialect.Thinking}
					if thought := a.texts[thinking]; (thought != "") != shown || a.text.Thought() != shown {
						t.Errorf("thought %q, %v; want %v", thought, a.text.Thought(), shown)
					}
					maps.DeleteFunc(a.texts, func(p dialect.TextPart, _ string) bool { return p.Kind == dialect.Thinking })
					want := map[dialect.TextPart]string{
						{Kind: dialect.Content}:            said,
						{Kind: dialect.Content, Choice: 1}: said,
						{Kind: dialect.Call}:               "look" + called,
						{Kind: dialect.Call, Index: 1}:     "see{}",
					}
					if path == "/v1/responses" { // the reasoning is an item, shown or not
						want = map[dialect.TextPart]string{
							{Kind: dialect.Content, Choice: 1}: said,
							{Kind: dialect.Call, Choice: 2}:    "look" + called,
							{Kind: dialect.Call, Choice: 3}:    "see{}",
						}
					}
					if path == "/v1/messages" {
						first := 0
						if shown {
							first = 1
						}
						want = map[dialect.TextPart]string{
							{Kind: dialect.Content, Index: first}:  said,
							{Kind: dialect.Call, Index: first + 1}: "look" + called,
							{Kind: dialect.Call, Index: first + 2}: "see{}",
						}
					}
					if !maps.Equal(a.texts, want) || a.text.Lost() {
						t.Errorf("lost %v\n got %v\nwant %v", a.text.Lost(), a.texts, want)
					}
				})
			}
		}
	}
}

// Of a stream that was cut, the text is what came whole; of a body, nothing is known.
func TestSimulatedCutText(t *testing.T) {
	script := simulator.Script{Text: "one two three four"}
	stream := ask(t, script, "/v1/chat/completions", `{"model":"m","stream":true}`, 4)
	if got := stream.texts[dialect.TextPart{}]; got != "one two" || stream.text.Lost() {
		t.Errorf("text %q, lost %v", got, stream.text.Lost())
	}
	body := ask(t, script, "/v1/chat/completions", `{"model":"m"}`, 1)
	if len(body.texts) != 0 || !body.text.Lost() {
		t.Errorf("text %v, lost %v", body.texts, body.text.Lost())
	}
}

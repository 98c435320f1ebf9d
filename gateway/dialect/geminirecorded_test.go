package dialect

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// geminiRecordings are those of Gemini, with their payloads.
func geminiRecordings(t *testing.T) map[*recording][]string {
	t.Helper()
	found := map[*recording][]string{}
	for _, r := range recordings(t) {
		if r.dialect != Gemini || r.endpoint == endpointInteractions {
			continue
		}
		var payloads []string
		for _, p := range split(NewSSE(0), r.body) {
			_, data, _ := strings.Cut(p.data, "data: ")
			payloads = append(payloads, strings.TrimSpace(data))
		}
		found[&r] = payloads
	}
	if len(found) == 0 {
		t.Fatal("no recordings of Gemini")
	}
	return found
}

// The payloads of a recording, sent as one array and cut anywhere, say the same.
func TestRecordedGeminiArrays(t *testing.T) {
	for r, payloads := range geminiRecordings(t) {
		t.Run(r.name, func(t *testing.T) {
			body := asArray(payloads)
			want, _ := textOf(Gemini, split(NewSSE(0), r.body))
			for _, max := range []int{0, 1000, 33} {
				o := Gemini.Observe(geminiArrayRequest, jsonType)
				parts := split(NewArray(max), body, 1, len(body)/3, len(body)/2, len(body)-2)
				signs := observe(o, parts)
				if joined(parts) != string(body) || len(signs) != len(payloads)+1 {
					t.Fatalf("parts of %d: %d events, want %d", max, len(signs), len(payloads)+1)
				}
				if i := slices.IndexFunc(signs, func(s Sign) bool { return s&Terminal != 0 }); i != len(payloads) || !o.Whole() {
					t.Errorf("terminal is event %d of %d", i, len(signs))
				}
				u, final := o.Usage()
				_, input, read, _, output, reasoning := r.expected(t)
				if u.InputTotal().Or(-1) != input || u.CacheRead.Or(0) != read || u.Output.Or(-1) != output || u.Reasoning.Or(0) != reasoning || !final {
					t.Errorf("usage %+v, final %v", u, final)
				}
				got, reader := texts{}, NewTextReader(Gemini, geminiArrayRequest, jsonType)
				for _, p := range parts {
					reader.Event([]byte(p.data), p.more, got.emit)
				}
				reader.Flush(got.emit)
				if len(got) == 0 || len(got) != len(want) || got[TextPart{}] != want[TextPart{}] || got[TextPart{Kind: Call}] != want[TextPart{Kind: Call}] {
					t.Errorf("text %v, want %v", got, want)
				}
			}
		})
	}
}

// The text is that of a plain reading of the JSON.
func TestRecordedGeminiText(t *testing.T) {
	for r, payloads := range geminiRecordings(t) {
		var said, thought string
		for _, p := range payloads {
			var chunk struct {
				Candidates []struct {
					Content struct {
						Parts []struct {
							Text    string
							Thought bool
						}
					}
				}
			}
			if err := json.Unmarshal([]byte(p), &chunk); err != nil {
				t.Fatal(err)
			}
			for _, part := range chunk.Candidates[0].Content.Parts {
				if part.Thought {
					thought += part.Text
				} else {
					said += part.Text
				}
			}
		}
		got, reader := textOf(Gemini, split(NewSSE(0), r.body))
		if got[TextPart{}] != said || got[TextPart{Kind: Thinking}] != thought || reader.Thought() != (thought != "") {
			t.Errorf("%s: %v", r.name, got)
		}
		if strings.Contains(r.column("tags"), "tool") != (got[TextPart{Kind: Call}] != "") {
			t.Errorf("%s: call %q, tags %q", r.name, got[TextPart{Kind: Call}], r.column("tags"))
		}
	}
}

package dialect_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// geminiForms are the three forms of an answer.
var geminiForms = map[string]string{
	"events": "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
	"array":  "/v1beta/models/gemini-2.5-pro:streamGenerateContent",
	"body":   "/v1beta/models/gemini-2.5-pro:generateContent",
}

const geminiCall = `{"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"candidateCount":2,"maxOutputTokens":4096}}`

// The usage that is read of any form of Gemini's is what the simulator bills.
func TestSimulatedGeminiUsage(t *testing.T) {
	for _, place := range []simulator.UsagePlace{simulator.UsageAsked, simulator.UsageFinish, simulator.UsageNone} {
		for form, path := range geminiForms {
			for _, shown := range []bool{false, true} {
				t.Run(fmt.Sprint(place, form, shown), func(t *testing.T) {
					a := ask(t, simulator.Script{
						Tokens: 30, Hidden: 17, ShowHidden: shown, Tools: []simulator.Tool{{Name: "look", Arguments: `{"a":"b"}`}},
						Input: 1000, CacheRead: 256, Usage: place,
					}, path, geminiCall, 0)
					u, final := a.observer.Usage()
					if place == simulator.UsageNone {
						if u.Output.IsKnown() || final {
							t.Errorf("usage %+v, final %v, of an answer without", u, final)
						}
						return
					}
					got := []int64{u.Input.Or(-1), u.CacheRead.Or(-1), u.Output.Or(-1), u.Reasoning.Or(0)}
					b := a.bill
					if want := []int64{int64(b.Input), int64(b.CacheRead), int64(b.Billed), int64(b.Hidden)}; !slices.Equal(got, want) || !final {
						t.Errorf("usage %d, final %v; billed are %d", got, final, want)
					}
					if b.Billed != 2*30+17+4 || a.observer.ResponseID() != b.ResponseID || a.observer.Model() != "gemini-2.5-pro" {
						t.Errorf("billed %d, id %q of %q", b.Billed, a.observer.ResponseID(), b.ResponseID)
					}
				})
			}
		}
	}
}

// Running usage is what was generated so far, and not final.
func TestSimulatedGeminiRunningUsage(t *testing.T) {
	for form, lost := range map[string]int{"events": 11, "array": 12} {
		a := ask(t, simulator.Script{Tokens: 30, Hidden: 7}, geminiForms[form], `{}`, lost)
		if u, final := a.observer.Usage(); u.Output.Or(-1) != 27 || u.Reasoning.Or(-1) != 7 || final || a.observer.Whole() != (form == "events") {
			t.Errorf("%s: output %v, final %v, want 27 of 37", form, u.Output, final)
		}
	}
}

// All forms of the same answer have the same text.
func TestSimulatedGeminiText(t *testing.T) {
	const said, called = "How much wood, \"they\" say\nä 木 😀", `{"a":"b \"c\"","d":[1,2]}`
	for form, path := range geminiForms {
		a := ask(t, simulator.Script{
			Text: said, Hidden: 5, ShowHidden: true,
			Tools: []simulator.Tool{{Name: "look", Arguments: called}, {Name: "see", Arguments: `{}`}},
		}, path, geminiCall, 0)
		if !a.text.Thought() || a.texts[dialect.TextPart{Kind: dialect.Thinking}] == "" {
			t.Errorf("%s: thought %v", form, a.texts)
		}
		delete(a.texts, dialect.TextPart{Kind: dialect.Thinking})
		want := map[dialect.TextPart]string{
			{Kind: dialect.Content}: said, {Kind: dialect.Content, Choice: 1}: said,
			{Kind: dialect.Call}: "look" + called, {Kind: dialect.Call, Index: 1}: "see{}",
		}
		if !maps.Equal(a.texts, want) || a.text.Lost() {
			t.Errorf("%s: lost %v\n got %v\nwant %v", form, a.text.Lost(), a.texts, want)
		}
	}
}

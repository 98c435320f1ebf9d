package simulator_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

const (
	geminiWhole  = "/v1beta/models/gemini-2.5-pro:generateContent"
	geminiArray  = "/v1beta/models/gemini-2.5-pro:streamGenerateContent"
	geminiEvents = geminiArray + "?alt=sse&key=unused"
	geminiBody   = `{"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":4096}}`
)

type geminiResponse struct {
	Candidates []struct {
		Index   int
		Finish  string `json:"finishReason"`
		Content struct {
			Role  string
			Parts []struct {
				Text    string
				Thought bool
				Call    *struct {
					Name string
					Args map[string]any
				} `json:"functionCall"`
			}
		}
	}
	Usage *struct {
		Prompt     int `json:"promptTokenCount"`
		Candidates int `json:"candidatesTokenCount"`
		Thoughts   int `json:"thoughtsTokenCount"`
		Cached     int `json:"cachedContentTokenCount"`
		Total      int `json:"totalTokenCount"`
	} `json:"usageMetadata"`
	Model string `json:"modelVersion"`
	ID    string `json:"responseId"`
	Error *struct {
		Code            int
		Message, Status string
	}
}

// geminiResponses takes any form of an answer apart.
func geminiResponses(t testing.TB, path string, body []byte) (out []geminiResponse) {
	t.Helper()
	switch path {
	case geminiEvents:
		for _, e := range events(t, body, "\n") {
			out = append(out, decode[geminiResponse](t, e.data))
		}
	case geminiArray:
		return decode[[]geminiResponse](t, string(body))
	default:
		return []geminiResponse{decode[geminiResponse](t, string(body))}
	}
	return out
}

// All forms of an answer say the same, and report what is billed.
func TestGeminiForms(t *testing.T) {
	sc := simulator.Script{Text: "one two three", Hidden: 5, ShowHidden: true, Choices: 2, Input: 50, CacheRead: 8,
		Tools: []simulator.Tool{{Name: "find", Arguments: `{"q":"x y"}`}}}
	for path, want := range map[string]int{geminiEvents: 5 + 2*3 + 1 + 2, geminiArray: 5 + 2*3 + 1 + 2, geminiWhole: 1} {
		f := start(t, simulator.Options{Default: sc})
		got := geminiResponses(t, path, f.ok(path, geminiBody))
		e := f.last()
		var said [2]string
		thoughts, calls, finished := "", 0, 0
		for _, r := range got {
			for _, c := range r.Candidates {
				for _, p := range c.Content.Parts {
					switch {
					case p.Thought:
						thoughts += p.Text
					case p.Call != nil && p.Call.Name == "find" && p.Call.Args["q"] == "x y":
						calls++
					default:
						said[c.Index] += p.Text
					}
				}
				if c.Finish == "STOP" {
					finished++
				}
			}
			if r.ID != e.ResponseID || r.Model != "gemini-2.5-pro" {
				t.Errorf("%s: %q by %q", path, r.ID, r.Model)
			}
		}
		if said != [2]string{"one two three", "one two three"} || words(thoughts) != 5 || calls != 1 || finished != 2 || len(got) != want {
			t.Errorf("%s: said %q, thought %q, %d calls, %d finished, %d responses, want %d", path, said, thoughts, calls, finished, len(got), want)
		}
		u := got[len(got)-1].Usage
		if u.Prompt != 58 || u.Cached != 8 || u.Thoughts != 5 || u.Candidates+u.Thoughts != e.Billed || u.Total != u.Prompt+e.Billed {
			t.Errorf("%s: usage %+v, billed %+v", path, u, e)
		}
		if e.Streamed != (path != geminiWhole) || e.Model != "gemini-2.5-pro" || path != geminiWhole && e.Events != want {
			t.Errorf("%s: %+v", path, e)
		}
		if strings.Contains(e.Query, "unused") {
			t.Errorf("the bill has the key: %s", e.Query)
		}
	}
}

// A limit, faults and errors are as in the other dialects.
func TestGeminiFaults(t *testing.T) {
	for _, path := range []string{geminiEvents, geminiArray} {
		f := start(t, simulator.Options{})
		f.Next(simulator.Script{Tokens: 9}, simulator.Script{Tokens: 9, ErrorAfterEvents: 3}, simulator.Script{Tokens: 9, CutAfterEvents: 3},
			simulator.Script{Tokens: 9, CutAfterEvents: 3, Cut: simulator.CutClean}, simulator.Script{Status: 429})
		limited := geminiResponses(t, path, f.ok(path, strings.Replace(geminiBody, "4096", "6", 1)))
		if last := limited[len(limited)-1]; last.Candidates[0].Finish != "MAX_TOKENS" || last.Usage.Candidates != 6 {
			t.Errorf("%s: %+v", path, last)
		}
		failed := geminiResponses(t, path, f.ok(path, geminiBody))
		if last := failed[len(failed)-1]; len(failed) != 4 || last.Error == nil || last.Error.Code != 503 || last.Error.Status != "UNAVAILABLE" {
			t.Errorf("%s: %+v", path, failed)
		}
		if _, _, err := f.post(path, geminiBody); err == nil || f.last().Billed != 3 {
			t.Errorf("%s: cut with %v", path, err)
		}
		if _, body, err := f.post(path, geminiBody); err != nil || json.Valid(body) || f.last().End != simulator.EndClean {
			t.Errorf("%s: a clean end with %v: %s", path, err, body)
		}
		resp, body, _ := f.post(path, geminiBody)
		if e := decode[geminiResponse](t, string(body)); resp.StatusCode != 429 || e.Error.Code != 429 || e.Error.Status != "RESOURCE_EXHAUSTED" {
			t.Errorf("%s: %s", path, body)
		}
	}
	f := start(t, simulator.Options{})
	contains(t, f.ok(strings.Replace(geminiWhole, "generateContent", "countTokens", 1), geminiBody), "totalTokens")
	if e := f.last(); e.Billed != 0 {
		t.Errorf("counting is billed: %+v", e)
	}
}

package simulator_test

import (
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

const (
	coherePath       = "/v2/chat"
	cohereCall       = `{"model":"command-a-03-2025","stream":true,"max_tokens":4096,"messages":[]}`
	interactionsPath = "/v1beta/interactions"
	interactionsCall = `{"model":"gemini-2.5-flash","stream":true,"input":"hi","generation_config":{"max_output_tokens":4096}}`
)

// said is what either dialect's answer comes to.
type said struct {
	text, thoughts, names, arguments, reason string
	input, output, hidden                    int
}

type cohereUsage struct {
	Billed struct {
		Input  int `json:"input_tokens"`
		Output int `json:"output_tokens"`
	} `json:"billed_units"`
	Tokens struct {
		Input, Output int
		Reasoning     int `json:"reasoning_tokens"`
	}
}

type cohereCallOf struct {
	Function struct{ Name, Arguments string }
}

func cohereSaid(t *testing.T, body []byte, streamed bool) (s said) {
	t.Helper()
	type content struct{ Text, Thinking string }
	if !streamed {
		w := decode[struct {
			Reason  string `json:"finish_reason"`
			Message struct {
				Content []content
				Calls   []cohereCallOf `json:"tool_calls"`
			}
			Usage cohereUsage
		}](t, string(body))
		for _, c := range w.Message.Content {
			s.text += c.Text
			s.thoughts += c.Thinking
		}
		for _, c := range w.Message.Calls {
			s.names += c.Function.Name
			s.arguments += c.Function.Arguments
		}
		s.reason, s.input, s.output, s.hidden = w.Reason, w.Usage.Billed.Input, w.Usage.Billed.Output, w.Usage.Tokens.Reasoning
		return s
	}
	all := events(t, body, "\n")
	if all[len(all)-1].data != "[DONE]" {
		t.Errorf("it ends with %s", all[len(all)-1].data)
	}
	for _, e := range all[:len(all)-1] {
		d := decode[struct {
			Type  string
			Delta struct {
				Message struct {
					Content any
					Calls   any `json:"tool_calls"`
				}
				Reason string `json:"finish_reason"`
				Usage  cohereUsage
			}
		}](t, e.data)
		if d.Type != e.name {
			t.Errorf("event %q is a %q", e.name, d.Type)
		}
		if c, ok := d.Delta.Message.Content.(map[string]any); ok {
			text, _ := c["text"].(string)
			thinking, _ := c["thinking"].(string)
			s.text, s.thoughts = s.text+text, s.thoughts+thinking
		}
		if c, ok := d.Delta.Message.Calls.(map[string]any); ok {
			f, _ := c["function"].(map[string]any)
			name, _ := f["name"].(string)
			arguments, _ := f["arguments"].(string)
			s.names, s.arguments = s.names+name, s.arguments+arguments
		}
		if d.Type == "message-end" {
			s.reason, s.input, s.output, s.hidden = d.Delta.Reason, d.Delta.Usage.Billed.Input, d.Delta.Usage.Billed.Output, d.Delta.Usage.Tokens.Reasoning
		}
	}
	return s
}

type interactionUsage struct {
	Input  int `json:"total_input_tokens"`
	Output int `json:"total_output_tokens"`
	Hidden int `json:"total_thought_tokens"`
	Total  int `json:"total_tokens"`
}

func interactionSaid(t *testing.T, body []byte, streamed bool) (s said) {
	t.Helper()
	if !streamed {
		w := decode[struct {
			Status string
			Steps  []struct {
				Type, Name       string
				Arguments        map[string]any
				Content, Summary []struct{ Text string }
			}
			Usage interactionUsage
		}](t, string(body))
		for _, step := range w.Steps {
			for _, c := range step.Content {
				s.text += c.Text
			}
			for _, c := range step.Summary {
				s.thoughts += c.Text
			}
			if s.names += step.Name; step.Arguments["q"] == "x y" {
				s.arguments = `{"q":"x y"}`
			}
		}
		s.reason, s.input, s.output, s.hidden = w.Status, w.Usage.Input, w.Usage.Output+w.Usage.Hidden, w.Usage.Hidden
		return s
	}
	all := events(t, body, "\n")
	for _, e := range all[:len(all)-1] {
		d := decode[struct {
			Type  string `json:"event_type"`
			ID    string `json:"event_id"`
			Step  struct{ Name string }
			Delta struct {
				Text      string
				Content   struct{ Text string }
				Arguments string `json:"partial_arguments"`
			}
			Interaction struct {
				Status string
				Usage  interactionUsage
			}
		}](t, e.data)
		if d.Type != e.name || d.ID == "" {
			t.Errorf("event %q is a %q with the id %q", e.name, d.Type, d.ID)
		}
		s.text, s.thoughts = s.text+d.Delta.Text, s.thoughts+d.Delta.Content.Text
		s.names, s.arguments = s.names+d.Step.Name, s.arguments+d.Delta.Arguments
		if u := d.Interaction.Usage; d.Type == "interaction.completed" {
			s.reason, s.input, s.output, s.hidden = d.Interaction.Status, u.Input, u.Output+u.Hidden, u.Hidden
			if u.Total != u.Input+u.Output+u.Hidden {
				t.Errorf("the total is %d of %+v", u.Total, u)
			}
		}
	}
	return s
}

// Both forms of both dialects say the same, and report what is billed.
func TestCohereAndInteractions(t *testing.T) {
	sc := simulator.Script{Text: "one two three", Hidden: 5, ShowHidden: true, Input: 50, CacheRead: 8, Tools: []simulator.Tool{{Name: "find", Arguments: `{"q":"x y"}`}}}
	for _, d := range []struct {
		path, call, reason, limited string
		read                        func(*testing.T, []byte, bool) said
	}{
		{coherePath, cohereCall, "TOOL_CALL", "MAX_TOKENS", cohereSaid},
		{interactionsPath, interactionsCall, "requires_action", "incomplete", interactionSaid},
	} {
		for _, streamed := range []bool{true, false} {
			call := d.call
			if !streamed {
				call = strings.Replace(call, `"stream":true,`, "", 1)
			}
			f := start(t, simulator.Options{Default: sc})
			got := d.read(t, f.ok(d.path, call), streamed)
			e := f.last()
			if got.text != "one two three" || words(got.thoughts) != 5 || got.names != "find" || got.arguments != `{"q":"x y"}` || got.reason != d.reason {
				t.Errorf("%s, streamed %v: %+v", d.path, streamed, got)
			}
			if got.input != 58 || got.output != e.Billed || got.hidden != 5 || e.Hidden != 5 || e.Streamed != streamed {
				t.Errorf("%s, streamed %v: %+v, billed %+v", d.path, streamed, got, e)
			}
			if limited := d.read(t, f.ok(d.path, strings.Replace(call, "4096", "6", 1)), streamed); limited.reason != d.limited || limited.output != 6 {
				t.Errorf("%s, streamed %v: limited to 6: %+v", d.path, streamed, limited)
			}
		}
		f := start(t, simulator.Options{})
		f.Next(simulator.Script{Tokens: 9, ErrorAfterEvents: 5}, simulator.Script{Tokens: 9, CutAfterEvents: 6}, simulator.Script{Status: 429})
		if all := events(t, f.ok(d.path, d.call), "\n"); len(all) != 6 || !strings.Contains(all[5].data, `"error"`) {
			t.Errorf("%s: fails with %+v", d.path, all)
		}
		if _, _, err := f.post(d.path, d.call); err == nil || f.last().Billed == 0 || f.last().Billed > 6 {
			t.Errorf("%s: cut with %v, %+v", d.path, err, f.last())
		}
		if resp, body, _ := f.post(d.path, d.call); resp.StatusCode != 429 || !strings.Contains(string(body), `"message":"`) {
			t.Errorf("%s: %s", d.path, body)
		}
	}
	// What runs in the background is billed, and not waited for.
	f := start(t, simulator.Options{Default: simulator.Script{Tokens: 40}})
	if got := interactionSaid(t, f.ok(interactionsPath, `{"model":"m","background":true,"input":"hi"}`), false); got.reason != "in_progress" || got.text != "" || f.last().Billed != 40 {
		t.Errorf("%+v, billed %+v", got, f.last())
	}
}

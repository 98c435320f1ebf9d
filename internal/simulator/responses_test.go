package simulator_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

const (
	responsesPath   = "/v1/responses"
	responsesWhole  = `{"model":"gpt-5.5","input":"hi, and how are you?"}`
	responsesStream = `{"model":"gpt-5.5","stream":true,"input":"hi, and how are you?"}`
	completionsPath = "/v1/completions"
)

type responseUsage struct {
	Input  int `json:"input_tokens"`
	Output int `json:"output_tokens"`
	In     struct {
		Cached int `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	Out struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
}

type response struct {
	ID, Status string
	Incomplete *struct{ Reason string } `json:"incomplete_details"`
	Output     []struct {
		Type, Name, Arguments string
		Content               []struct{ Text string }
	}
	Usage *responseUsage
}

type responseEvent struct {
	Type, Delta, Message string
	Sequence             int `json:"sequence_number"`
	Response             response
}

func TestResponsesStreamLooksLikeTheRealThing(t *testing.T) {
	script := simulator.Script{Tokens: 4, Hidden: 6, ShowHidden: true, Input: 50, CacheRead: 7, Obfuscation: true,
		Tools: []simulator.Tool{{Name: "find", Arguments: `{"q":"x y"}`}}}
	f := start(t, simulator.Options{Default: script})
	_, body, err := f.post(responsesPath, responsesStream)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	deltas := map[string]string{}
	var last response
	for i, e := range events(t, body, "\n") {
		m := decode[responseEvent](t, e.data)
		if m.Type != e.name || m.Sequence != i {
			t.Errorf("event %d is %q, %+v", i, e.name, m)
		}
		names = append(names, e.name)
		deltas[e.name] += m.Delta
		last = m.Response
	}
	e := f.last()
	if names[0] != "response.created" || names[1] != "response.in_progress" || names[len(names)-1] != "response.completed" {
		t.Errorf("order %v", names)
	}
	if words(deltas["response.output_text.delta"]) != 4 || words(deltas["response.reasoning_text.delta"]) != 6 || deltas["response.function_call_arguments.delta"] != `{"q":"x y"}` {
		t.Errorf("%v", deltas)
	}
	if len(last.Output) != 3 || last.Output[1].Content[0].Text != deltas["response.output_text.delta"] || last.Output[2].Arguments != `{"q":"x y"}` || last.Output[2].Name != "find" {
		t.Errorf("%+v", last)
	}
	if u := last.Usage; u == nil || u.Output != e.Billed || u.Input != 57 || u.In.Cached != 7 || u.Out.Reasoning != 6 || e.Billed != 6+4+1+3 {
		t.Errorf("usage %+v, entry %+v", u, e)
	}
	if last.ID != e.ResponseID || !strings.HasPrefix(last.ID, "resp_") || e.Events != len(names) || !e.Streamed {
		t.Errorf("%q, entry %+v", last.ID, e)
	}
}

func TestResponsesLimitErrorsAndTheBackground(t *testing.T) {
	f := start(t, simulator.Options{})
	f.Next(simulator.Script{Tokens: 9, Hidden: 3})
	cut := decode[response](t, string(f.ok(responsesPath, strings.Replace(responsesWhole, `{`, `{"max_output_tokens":5,`, 1))))
	if cut.Status != "incomplete" || cut.Incomplete == nil || cut.Incomplete.Reason != "max_output_tokens" || cut.Usage.Output != 5 || words(cut.Output[1].Content[0].Text) != 2 || f.last().Billed != 5 {
		t.Errorf("%+v, %+v", cut, f.last())
	}
	f.Next(simulator.Script{Tokens: 9, ErrorAfterEvents: 7})
	_, body, _ := f.post(responsesPath, responsesStream)
	all := events(t, body, "\n")
	if m := decode[responseEvent](t, all[len(all)-1].data); len(all) != 8 || m.Type != "error" || m.Sequence != 7 || m.Message == "" {
		t.Errorf("%d events, the last %+v", len(all), m)
	}
	background := strings.Replace(responsesWhole, `{`, `{"background":true,`, 1)
	f.Next(simulator.Script{Tokens: 9})
	if got := decode[response](t, string(f.ok(responsesPath, background))); got.Status != "queued" || got.Usage != nil || len(got.Output) != 0 || f.last().Billed != 9 {
		t.Errorf("%+v, %+v", got, f.last())
	}
	f.Next(simulator.Script{Tokens: 9, Usage: simulator.UsageNone})
	if got := decode[response](t, string(f.ok(responsesPath, responsesWhole))); got.Status != "completed" || got.Usage != nil {
		t.Errorf("%+v", got)
	}
}

func TestCompletionsLookLikeTheRealThing(t *testing.T) {
	f := start(t, simulator.Options{Default: simulator.Script{Tokens: 5, Input: 30}})
	type chunk struct {
		ID, Object string
		Choices    []struct {
			Text   string
			Index  int
			Finish *string `json:"finish_reason"`
		}
		Usage *chatUsageObject
	}
	for _, options := range []string{"", `,"stream_options":{"include_usage":true}`} {
		body := f.ok(completionsPath, fmt.Sprintf(`{"model":"davinci-002","prompt":"hi","n":2,"stream":true%s}`, options))
		texts, ends, usages := make([]string, 2), 0, 0
		all := events(t, body, "\n")
		for _, e := range all[:len(all)-1] {
			c := decode[chunk](t, e.data)
			if c.Object != "text_completion" || c.ID != f.last().ResponseID || !strings.HasPrefix(c.ID, "cmpl-") {
				t.Errorf("%s", e.data)
			}
			for _, choice := range c.Choices {
				texts[choice.Index] += choice.Text
				if choice.Finish != nil {
					ends++
				}
			}
			if c.Usage != nil {
				usages++
				if c.Usage.Completion != 10 || c.Usage.Prompt != 30 || len(c.Choices) != 0 {
					t.Errorf("%s", e.data)
				}
			}
		}
		if words(texts[0]) != 5 || words(texts[1]) != 5 || ends != 2 || usages != min(len(options), 1) || all[len(all)-1].data != "[DONE]" || f.last().Billed != 10 {
			t.Errorf("texts %q, %d ends, %d usages, %+v", texts, ends, usages, f.last())
		}
	}
	if got := decode[chunk](t, string(f.ok(completionsPath, `{"model":"davinci-002","prompt":"hi","max_tokens":3}`))); words(got.Choices[0].Text) != 3 || *got.Choices[0].Finish != "length" || got.Usage.Completion != 3 {
		t.Errorf("%+v", got)
	}
}

func TestOpenAIClientReadsResponses(t *testing.T) {
	f := start(t, simulator.Options{Default: sdkScript})
	client := f.openai()
	params := responses.ResponseNewParams{Model: "gpt-5.5", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hi")}}
	whole, err := client.Responses.New(ctx(t), params)
	if err != nil {
		t.Fatal(err)
	}
	check := func(r responses.Response) {
		t.Helper()
		types := []string{}
		for _, item := range r.Output {
			types = append(types, item.Type)
		}
		if !slices.Equal(types, []string{"reasoning", "message", "function_call"}) || words(r.OutputText()) != 20 || r.Output[2].Arguments.OfString != `{"key": "värde"}` {
			t.Errorf("%v %q %+v", types, r.OutputText(), r.Output[2].Arguments)
		}
		if e := f.last(); r.Usage.InputTokens != 40 || r.Usage.OutputTokens != int64(e.Billed) || r.Usage.OutputTokensDetails.ReasoningTokens != 5 || r.ID != e.ResponseID {
			t.Errorf("usage %+v, entry %+v", r.Usage, e)
		}
	}
	check(*whole)
	stream := client.Responses.NewStreaming(ctx(t), params)
	defer stream.Close()
	for stream.Next() {
		if e := stream.Current(); e.Type == "response.completed" {
			check(e.Response)
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
}

package dialect

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/token"
)

// expected is what the index says that a recording reports, as far as it says so. A zero there may
// also be a count that is not reported.
func (r recording) expected(t *testing.T) (known bool, input, read, write, output, reasoning int64) {
	t.Helper()
	if r.column("has_usage") != "True" {
		return false, 0, 0, 0, 0, 0
	}
	number := func(name string) int64 {
		n, err := strconv.ParseInt(r.column(name), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	output = number("exp_output_billed")
	// One provider reports more reasoning than output. In normal form it is a part of it.
	reasoning = min(number("exp_reasoning"), output)
	read = number("exp_cache_read")
	if r.dialect == Cohere {
		read = 0 // in neither its billed units nor its bill
	}
	return true, number("exp_input_total"), read, number("exp_cache_write"), output, reasoning
}

func TestRecordedUsage(t *testing.T) {
	for _, r := range recordings(t) {
		t.Run(r.name, func(t *testing.T) {
			o := r.observer()
			body := r.body
			if !strings.HasSuffix(string(body), "\n\n") {
				body = append(slices.Clone(body), "\n\n"...) // two fixtures lost the last one
			}
			observe(o, split(NewSSE(0), body))
			u, final := o.Usage()
			known, input, read, write, output, reasoning := r.expected(t)
			if final != known {
				t.Errorf("final is %v, the index says %v", final, known)
			}
			if !known {
				if u.Input.IsKnown() || u.Output.IsKnown() {
					t.Errorf("usage %+v of a stream that reports none", u)
				}
				return
			}
			if !u.Output.IsKnown() || u.InputTotal() != token.Known(input) {
				t.Errorf("output %v, input %v, want %d", u.Output, u.InputTotal(), input)
			}
			got := []int64{u.CacheRead.Or(0), u.CacheWrite5m.Or(0) + u.CacheWrite1h.Or(0), u.Output.Or(-1), u.Reasoning.Or(0)}
			if want := []int64{read, write, output, reasoning}; !slices.Equal(got, want) {
				t.Errorf("cache read, cache write, output, reasoning: %d, want %d", got, want)
			}
			if others := o.Others(); others != nil {
				t.Errorf("other models: %+v", others)
			}
		})
	}
}

// However the stream is cut into reads and parts, the usage is the same.
func TestRecordedUsageAnyCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, r := range recordings(t) {
		t.Run(r.name, func(t *testing.T) {
			o := r.observer()
			observe(o, split(NewSSE(0), r.body))
			want, wantFinal := o.Usage()
			for _, max := range []int{0, 1 << 10, 100, 7} {
				cuts := make([]int, 1+rng.IntN(200))
				for i := range cuts {
					cuts[i] = rng.IntN(len(r.body) + 1)
				}
				slices.Sort(cuts)
				o := r.observer()
				observe(o, split(NewSSE(max), r.body, cuts...))
				if got, final := o.Usage(); !reflect.DeepEqual(got, want) || final != wantFinal {
					t.Errorf("in parts of %d: %+v, final %v; want %+v, %v", max, got, final, want, wantFinal)
				}
			}
		})
	}
}

// What a recording states beyond the index's columns.
func TestRecordedExtras(t *testing.T) {
	for _, test := range []struct {
		name, tier, cost string
		tools            map[string]int64
	}{
		{"test-complex-agent-run", "default", "", nil},
		{"mistral-mistral-small-latest", "standard", "", nil},
		{"openrouter-claude-haiku", "", "0.00572", nil},
		{"tools-streaming-variant-d", "", "0.00007159", nil},
		{"openrouter-web-search", "", "0.0133176", map[string]int64{"web_search": 1}},
		{"perplexity-sonar", "", "0.00501", nil},
		{"xai-text-chunks__0", "", "0.000172125", nil},
		{"opus-46-adaptive", "standard", "", nil},
		{"web-fetch-tool", "standard", "", nil},
		{"pause-turn-web-search", "standard", "", map[string]int64{"web_search": 10}},
	} {
		o := recordingOf(t, test.name)
		observer := o.observer()
		observe(observer, split(NewSSE(0), o.body))
		u, _ := observer.Usage()
		if test.tier != "" && u.ServiceTier != test.tier || u.CostUSD != test.cost || !reflect.DeepEqual(u.Tools, test.tools) {
			t.Errorf("%s: tier %q, cost %q, tools %v; want %q, %q, %v", test.name, u.ServiceTier, u.CostUSD, u.Tools, test.tier, test.cost, test.tools)
		}
	}
}

// usageText writes a usage as in the tables: what is unknown is left out.
func usageText(u token.Usage) string {
	b, err := json.Marshal(u)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestChatUsage(t *testing.T) {
	for name, test := range map[string]struct{ report, want string }{
		"openai":           {`{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":64,"audio_tokens":3},"completion_tokens_details":{"reasoning_tokens":5,"audio_tokens":2,"rejected_prediction_tokens":4}}`, `{"input":36,"cache_read":64,"output":20,"reasoning":5,"audio_in":3,"audio_out":2}`},
		"cache write":      {`{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":64,"cache_write_tokens":30}}`, `{"input":6,"cache_read":64,"cache_write_5m":30,"output":20}`},
		"qwen":             {`{"prompt_tokens":100,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":90},"cache_creation_input_tokens":90,"cache_type":"ephemeral"}}`, `{"input":10,"cache_read":0,"cache_write_5m":90,"output":1}`},
		"deepseek":         {`{"prompt_tokens":495,"completion_tokens":65,"total_tokens":560,"prompt_cache_hit_tokens":384,"prompt_cache_miss_tokens":111}`, `{"input":111,"cache_read":384,"output":65}`},
		"hit and miss":     {`{"completion_tokens":65,"prompt_cache_hit_tokens":384,"prompt_cache_miss_tokens":111}`, `{"input":111,"cache_read":384,"output":65}`},
		"moonshot":         {`{"prompt_tokens":50,"completion_tokens":6,"total_tokens":56,"cached_tokens":40}`, `{"input":10,"cache_read":40,"output":6}`},
		"xai":              {`{"prompt_tokens":12,"completion_tokens":2,"total_tokens":354,"completion_tokens_details":{"reasoning_tokens":340},"cost_in_usd_ticks":1721250,"num_sources_used":3}`, `{"input":12,"output":342,"reasoning":340,"tools":{"search_source":3},"cost_usd":"0.000172125"}`},
		"google":           {`{"prompt_tokens":7,"completion_tokens":5,"total_tokens":33}`, `{"input":7,"output":26,"reasoning":21}`},
		"perplexity":       {`{"prompt_tokens":33,"completion_tokens":7163,"total_tokens":7196,"citation_tokens":20016,"num_search_queries":28,"reasoning_tokens":95305,"cost":{"total_cost":0.81}}`, `{"input":33,"output":102468,"reasoning":95305,"tools":{"search_query":28},"cost_usd":"0.81"}`},
		"caches apart":     {`{"prompt_tokens":4,"completion_tokens":20,"total_tokens":1189,"prompt_tokens_details":{"cached_tokens":1000,"cache_write_tokens":165}}`, `{"input":4,"cache_read":1000,"cache_write_5m":165,"output":20}`},
		"too much cached":  {`{"prompt_tokens":4,"completion_tokens":20,"total_tokens":24,"prompt_tokens_details":{"cached_tokens":1000}}`, `{"input":4,"output":20}`},
		"too much thought": {`{"prompt_tokens":4,"completion_tokens":10,"total_tokens":14,"completion_tokens_details":{"reasoning_tokens":11}}`, `{"input":4,"output":10,"reasoning":10}`},
		"own key":          {`{"prompt_tokens":4,"completion_tokens":10,"cost":0.001,"is_byok":true}`, `{"input":4,"output":10}`},
		"free":             {`{"prompt_tokens":4,"completion_tokens":10,"cost":0}`, `{"input":4,"output":10,"cost_usd":"0"}`},
		"zeros are known":  {`{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`, `{"input":0,"output":0}`},
		"null is not zero": {`{"prompt_tokens":3,"completion_tokens":null,"completion_tokens_details":null}`, `{"input":3}`},
		"nonsense":         {`{"prompt_tokens":-3,"completion_tokens":"7","total_tokens":1e300,"cost":"a lot","prompt_tokens_details":[1],"server_tool_use":7,"x":5}`, `{}`},
		"absurd":           {`{"prompt_tokens":1099511627777,"completion_tokens":1.5}`, `{}`},
		"whole":            {`{"prompt_tokens":3.0,"completion_tokens":1e2}`, `{"input":3,"output":100}`},
		"only output":      {`{"completion_tokens":5,"total_tokens":9}`, `{"output":5}`},
	} {
		// As a chunk of its own, on the finish chunk, and in a body, whatever the white space.
		const choice = `{"index":0,"delta":{},"finish_reason":"stop"}`
		spaced := strings.NewReplacer(":", " : ", ",", " ,\n ").Replace(test.report)
		for form, answer := range map[string][]string{
			"chunk":  frames(`{"choices":[`+choice+`],"usage":null}`, `{"choices":[],"usage":`+test.report+`}`, `[DONE]`),
			"finish": frames(`{"usage":`+test.report+`,"choices":[`+choice+`]}`, `{"choices":[`+choice+`],"usage":null}`),
			"groq":   frames(`{"choices":[` + choice + `],"x_groq":{"id":"x","usage":` + test.report + `}}`),
		} {
			o := OpenAI.Observe(Request{Stream: true, Choices: 1}, eventStream)
			for _, e := range answer {
				large(t, o, e, 11)
			}
			if u, final := o.Usage(); usageText(u) != test.want || !final {
				t.Errorf("%s, %s: %s, final %v, want %s", name, form, usageText(u), final, test.want)
			}
		}
		o := OpenAI.Observe(Request{Choices: 1}, "application/json")
		for c := range slices.Chunk([]byte(`{"choices":[{"usage":{"x":1}}],"usage": `+spaced+`}`), 5) {
			o.Event(c)
		}
		if u, final := o.Usage(); usageText(u) != test.want || !final {
			t.Errorf("%s, body: %s, final %v, want %s", name, usageText(u), final, test.want)
		}
	}
}

func TestMessagesUsage(t *testing.T) {
	const stop = `{"stop_reason":"end_turn"}`
	for name, test := range map[string]struct{ start, delta, want string }{
		"old":         {`{"input_tokens":17,"output_tokens":1}`, `{"output_tokens":92}`, `{"input":17,"output":92}`},
		"cumulative":  {`{"input_tokens":4,"cache_creation_input_tokens":165,"cache_read_input_tokens":10,"output_tokens":3}`, `{"input_tokens":4,"cache_creation_input_tokens":165,"cache_read_input_tokens":10,"output_tokens":20}`, `{"input":4,"cache_read":10,"cache_write_5m":165,"output":20}`},
		"split":       {`{"input_tokens":4,"cache_creation_input_tokens":165,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":65},"service_tier":"priority"}`, `{"cache_creation_input_tokens":165,"output_tokens":20}`, `{"input":4,"cache_write_5m":100,"cache_write_1h":65,"output":20,"service_tier":"priority"}`},
		"partly":      {`{"input_tokens":4,"cache_creation_input_tokens":165,"cache_creation":{"ephemeral_1h_input_tokens":65}}`, `{"output_tokens":0}`, `{"input":4,"cache_write_5m":100,"cache_write_1h":65,"output":0}`},
		"late input":  {`{"input_tokens":0,"output_tokens":0}`, `{"input_tokens":31,"output_tokens":20,"output_tokens_details":{"thinking_tokens":7}}`, `{"input":31,"output":20,"reasoning":7}`},
		"no input":    {`{"input_tokens":0,"output_tokens":0}`, `{"output_tokens":20}`, `{"output":20}`},
		"null":        {`{"input_tokens":5,"cache_read_input_tokens":2}`, `{"input_tokens":null,"cache_read_input_tokens":null,"output_tokens":20}`, `{"input":5,"cache_read":2,"output":20}`},
		"tools":       {`{"input_tokens":5}`, `{"output_tokens":20,"server_tool_use":{"web_search_requests":2,"web_fetch_requests":3,"x_requests":0}}`, `{"input":5,"output":20,"tools":{"web_search":2}}`},
		"nonsense":    {`{"input_tokens":-5,"x":1}`, `{"output_tokens":true,"input_tokens":"4","y":2}`, `{}`},
		"compaction":  {`{"input_tokens":5}`, `{"output_tokens":8,"input_tokens":5,"iterations":[{"type":"compaction","input_tokens":100,"cache_read_input_tokens":55000,"output_tokens":83},{"type":"message","input_tokens":5,"cache_creation":{"ephemeral_1h_input_tokens":9},"output_tokens":8}]}`, `{"input":105,"cache_read":55000,"cache_write_1h":9,"output":91}`},
		"one unknown": {`{"input_tokens":5}`, `{"output_tokens":8,"iterations":[{"input_tokens":100,"output_tokens":83},{"input_tokens":5}]}`, `{"input":5,"output":8}`},
		"none":        {`{"input_tokens":5}`, `{"output_tokens":8,"iterations":[],"output_tokens_details":{"thinking_tokens":9}}`, `{"input":5,"output":8,"reasoning":8}`},
	} {
		o := Anthropic.Observe(Request{Stream: true}, eventStream)
		before := frames(`{"type":"message_start","message":{"id":"m","model":"claude","usage":`+test.start+`}}`,
			`{"type":"content_block_delta","delta":{"text":"x","stop_reason":null},"usage":null}`)
		for _, e := range before {
			large(t, o, e, 13)
		}
		if u, final := o.Usage(); u.Output.IsKnown() || final {
			t.Errorf("%s: before the end output is %v, final %v", name, u.Output, final)
		}
		large(t, o, frames(`{"type":"message_delta","delta":` + stop + `,"usage":` + test.delta + `}`)[0], 17)
		if u, final := o.Usage(); usageText(u) != test.want || !final {
			t.Errorf("%s: %s, final %v, want %s", name, usageText(u), final, test.want)
		}
	}
}

// An advisor has a price of its own.
func TestOtherModels(t *testing.T) {
	const usage = `{"output_tokens":8,"input_tokens":5,"iterations":[
		{"type":"message","input_tokens":5,"output_tokens":8,"model":"claude-s"},
		{"type":"advisor_message","model":"claude-o","input_tokens":70,"output_tokens":30},
		{"type":"message","input_tokens":9,"output_tokens":2}]}`
	const others = `claude-o {"input":70,"output":30}`
	stream := Anthropic.Observe(Request{Stream: true}, eventStream)
	for _, e := range frames(`{"type":"message_start","message":{"model":"claude-s","usage":{"input_tokens":5}}}`,
		`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":`+strings.ReplaceAll(usage, "\n", "")+`}`) {
		stream.Event([]byte(e))
	}
	body := Anthropic.Observe(Request{}, "application/json")
	body.Event([]byte(`{"model":"claude-s","usage":` + usage + `}`))
	for name, o := range map[string]Observer{"stream": stream, "body": body} {
		if u, final := o.Usage(); usageText(u) != `{"input":84,"output":40}` || !final {
			t.Errorf("%s: %s, final %v", name, usageText(u), final)
		}
		if got := o.Others(); len(got) != 1 || got[0].Model+" "+usageText(got[0].Usage) != others {
			t.Errorf("%s: others %+v, want %s", name, got, others)
		}
	}
}

// Which report is the final one.
func TestFinalUsage(t *testing.T) {
	chunk := func(n int, finish string) string {
		if finish != "null" {
			finish = `"` + finish + `"`
		}
		return fmt.Sprintf(`{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":%s}],"usage":{"completion_tokens":%d}}`, finish, n)
	}
	const (
		finish = `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
		alone  = `{"choices":[],"usage":{"completion_tokens":9}}`
		cut    = `{"choices":[],"usage":{"completion_tokens":99}`
	)
	for _, test := range []struct {
		name    string
		dialect Dialect
		events  []string
		output  int64
		final   bool
	}{
		{"running", OpenAI, frames(chunk(1, "null"), chunk(2, "null")), 2, false},
		{"running to the end", OpenAI, frames(chunk(1, "null"), chunk(2, "stop")), 2, true},
		{"the same again", OpenAI, frames(chunk(2, "null"), chunk(2, "null"), chunk(2, "stop"), chunk(2, "stop")), 2, true},
		{"before the end", OpenAI, frames(chunk(1, "null"), finish), 1, false},
		{"before the end, then done", OpenAI, frames(chunk(1, "null"), finish, `[DONE]`), 1, true},
		{"behind the end", OpenAI, frames(finish, alone), 9, true},
		{"no finish", OpenAI, frames(`{"choices":[{"index":0,"delta":{}}]}`, alone), 9, true},
		{"nothing but usage", OpenAI, frames(alone), 9, false},
		{"an empty one later", OpenAI, frames(finish, alone, `{"choices":[],"usage":{}}`, `{"usage":{"prompt_tokens":null}}`), 9, true},
		{"no object", OpenAI, frames(finish, alone, `{"choices":[],"usage":[1]}`, `{"usage":7}`), 9, true},
		{"cut short", OpenAI, frames(finish, alone, cut), 9, true},
		{"two in one event", OpenAI, frames(finish, `{"x_groq":{"usage":{"completion_tokens":3}},"usage":{"completion_tokens":4}}`), 4, true},
		{"ahead of the finish", OpenAI, frames(`{"choices":[]}`, `{"usage":{"completion_tokens":3},"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}`,
			`{"usage":{"completion_tokens":3},"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]}`), 3, true},
		{"damaged, then the same", OpenAI, frames(`{"choices":[]}`, `{"usage":{"completion_tokens":3},"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]]`,
			`{"usage":{"completion_tokens":3},"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]}`), 3, true},
		{"damaged, then without", OpenAI, frames(`{"usage":{"completion_tokens":3}]`, finish), -1, false},
		{"too large", OpenAI, frames(finish, alone, `{"usage":{"completion_tokens":3,"x":[`+strings.Repeat(`"0123456789",`, 6000)+`1]}}`), 9, true},
		{"deep", OpenAI, frames(finish, `{"usage":{"x":`+strings.Repeat(`[{"a":`, 40)+`1`+strings.Repeat(`}]`, 40)+`,"completion_tokens":3}}`), 3, true},
		{"error with usage", OpenAI, frames(chunk(1, "null"), `{"error":{"code":1},"choices":[{"index":0,"delta":{},"finish_reason":"error"}],"usage":{"completion_tokens":4}}`), 4, true},
		{"error, then done", OpenAI, frames(chunk(1, "null"), `{"error":{"code":1}}`, `[DONE]`), 1, false},
		{"quoted", OpenAI, frames(finish, `{"choices":[{"delta":{"content":"\"usage\":{\"completion_tokens\":5}"}}]}`), -1, false},
		{"elsewhere", OpenAI, frames(finish, `{"choices":[{"delta":{"usage":{"completion_tokens":5}}}],"x":{"usage":{"completion_tokens":5}}}`), -1, false},
		{"moonshot", OpenAI, frames(`{"choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":{"completion_tokens":5}}]}`), 5, true},
		{"odd names", OpenAI, frames(finish, `{"usage":{"a\"b":1,"c\\d":2,"completion_tokens":6,"\u0001":[{}],"e":[]}}`), 6, true},
		{"start", Anthropic, frames(`{"type":"message_start","message":{"usage":{"input_tokens":3,"output_tokens":9}}}`), -1, false},
		{"running delta", Anthropic, frames(`{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":4}}`), 4, false},
		{"stop", Anthropic, frames(`{"type":"message_delta","delta":{},"usage":{"output_tokens":4}}`, `{"type":"message_stop"}`), 4, true},
		{"two deltas", Anthropic, frames(`{"type":"message_delta","delta":{},"usage":{"output_tokens":4}}`, `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}`), 9, true},
		{"damaged, then the same", Anthropic, frames(`{"type":"ping"}`, `{"type":"message_delta","usage":{"output_tokens":4},"delta":{"text":"a","stop_reason":"end_turn"}]`,
			`{"type":"message_delta","usage":{"output_tokens":4},"delta":{"text":"b","stop_reason":"end_turn"}}`), 4, true},
		{"damaged, then without", Anthropic, frames(`{"type":"message_delta","usage":{"output_tokens":4}]`, `{"type":"message_delta","delta":{"stop_reason":"end_turn"}}`), -1, false},
		{"only a start", Anthropic, frames(`{"type":"message_start","message":{"usage":{"output_tokens":9}}}`, `{"type":"message_stop"}`), -1, false},
	} {
		o := test.dialect.Observe(Request{Stream: true, Choices: 1}, eventStream)
		parts := test.dialect.Observe(Request{Stream: true, Choices: 1}, eventStream)
		for _, e := range test.events {
			o.Event([]byte(e))
			large(t, parts, e, 19)
		}
		for form, o := range map[string]Observer{"whole": o, "in parts": parts} {
			if u, final := o.Usage(); u.Output.Or(-1) != test.output || final != test.final {
				t.Errorf("%s, %s: output %v, final %v; want %d, %v", test.name, form, u.Output, final, test.output, test.final)
			}
		}
	}
}

func TestDecimal(t *testing.T) {
	for number, want := range map[string]string{
		"0": "0", "0.0": "0", "12": "12", "0.001156": "0.001156", "7.159e-05": "0.00007159", "8E-05": "0.00008",
		"1.5e3": "1500", "1.2345e2": "123.45", "1e-24": "0.000000000000000000000001", "1.50": "1.5", "100": "100", "1e+1": "10",
		"": "", "-1": "", "null": "", "1e99": "", "1e-999999999": "", "1.2.3": "", "true": "", `"1"`: "",
	} {
		if got := decimal(number); got != want {
			t.Errorf("%s is %q, want %q", number, got, want)
		}
	}
}

// Of a report that is too large, no more is held than of the largest one.
func TestUsageMemory(t *testing.T) {
	o := OpenAI.Observe(Request{Stream: true, Choices: 1}, eventStream).(*chat)
	o.Large([]byte(`data: {"usage":{"x":[`), true, false)
	for range 1 << 12 {
		o.Large([]byte(strings.Repeat(`"0123456789abcdef",`, 10)), false, false)
	}
	o.Large([]byte("1]}}\n\n"), false, true)
	if n := cap(o.usage.text); n > 2*maxUsage {
		t.Errorf("it holds %d bytes", n)
	}
}

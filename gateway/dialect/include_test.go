package dialect

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

func TestInjectUsage(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"absent":          {`{"model":"m","stream":true}`, `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`},
		"first":           {`{"stream":true,"n":1}`, `{"stream":true,"n":1,"stream_options":{"include_usage":true}}`},
		"pretty":          {" {\n  \"stream\" : true ,\n  \"x\": [ 1, {\"stream_options\":null} ]\n}\n", " {\n  \"stream\" : true ,\n  \"x\": [ 1, {\"stream_options\":null} ],\"stream_options\":{\"include_usage\":true}\n}\n"},
		"null":            {`{"stream_options": null, "stream":true}`, `{"stream_options": {"include_usage":true}, "stream":true}`},
		"empty":           {`{"stream_options":{ },"stream":true}`, `{"stream_options":{"include_usage":true },"stream":true}`},
		"others":          {`{"stream":true,"stream_options":{"include_obfuscation":false}}`, `{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}`},
		"false":           {`{"stream":true,"stream_options":{"a":[1],"include_usage" : false,"b":{}}}`, `{"stream":true,"stream_options":{"a":[1],"include_usage" : true,"b":{}}}`},
		"null inside":     {`{"stream":true,"stream_options":{"include_usage":null}}`, `{"stream":true,"stream_options":{"include_usage":true}}`},
		"nested":          {`{"stream":true,"stream_options":{"x":{"include_usage":true}}}`, `{"stream":true,"stream_options":{"include_usage":true,"x":{"include_usage":true}}}`},
		"options twice":   {`{"stream_options":{"include_usage":true},"stream":true,"stream_options":{}}`, `{"stream_options":{"include_usage":true},"stream":true,"stream_options":{"include_usage":true}}`},
		"options thrice":  {`{"stream_options":null,"stream":true,"stream_options":{"include_usage":false},"stream_options":{"x":1}}`, `{"stream_options":{"include_usage":true},"stream":true,"stream_options":{"include_usage":true},"stream_options":{"include_usage":true,"x":1}}`},
		"include twice":   {`{"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}`, `{"stream":true,"stream_options":{"include_usage":true,"include_usage":true}}`},
		"stream twice":    {`{"stream":false,"stream":true}`, `{"stream":false,"stream":true,"stream_options":{"include_usage":true}}`},
		"escaped":         {`{"str\u0065am":true,"stream\u005foptions":{"include_usage":false}}`, `{"str\u0065am":true,"stream\u005foptions":{"include_usage":true}}`},
		"text":            {`{"messages":[{"content":"\"}],\"stream_options\":{\"include_usage\":true}"}],"stream":true}`, `{"messages":[{"content":"\"}],\"stream_options\":{\"include_usage\":true}"}],"stream":true,"stream_options":{"include_usage":true}}`},
		"asks":            {`{"stream":true,"stream_options":{"include_usage":true}}`, ""},
		"asks last":       {`{"stream":true,"stream_options":null,"stream_options":{"include_usage":false,"include_usage":true}}`, ""},
		"no stream":       {`{"model":"m"}`, ""},
		"one body":        {`{"stream":false,"stream_options":{}}`, ""},
		"no longer":       {`{"stream":true,"stream":null}`, ""},
		"quoted":          {`{"stream":"true"}`, ""},
		"inside":          {`{"x":{"stream":true}}`, ""},
		"options wrong":   {`{"stream":true,"stream_options":"include_usage"}`, ""},
		"options a list":  {`{"stream":true,"stream_options":[]}`, ""},
		"no object":       {`[{"stream":true}]`, ""},
		"cut off":         {`{"stream":true,"stream_options":{"include_usage":false}`, ""},
		"options cut off": {`{"stream":true,"stream_options":{"include_usage":fal`, ""},
		"empty body":      {``, ""},
		"no comma":        {`{"stream":true "x":1}`, ""},
		"no value":        {`{"stream":true,"x":}`, ""},
		"no colon":        {`{"stream":true,"x"}`, ""},
		"no name":         {`{"stream":true,1:2}`, ""},
	} {
		body := []byte(test.body)
		got, changed := InjectUsage(body)
		want := test.want
		if want == "" {
			want = test.body
		}
		if string(got) != want || changed != (test.want != "") {
			t.Errorf("%s: changed %v\n got %s\nwant %s", name, changed, got, want)
		}
		if string(body) != test.body {
			t.Errorf("%s: the body itself became %s", name, body)
		}
	}
}

// Whatever Parse takes, asks for usage afterwards if it streams, and says what it said otherwise.
func FuzzInjectUsage(f *testing.F) {
	f.Add([]byte(`{"model":"m","stream":true,"stream_options":{"a":1,"include_usage":false},"n":2}`))
	f.Add([]byte(` {"stream" : true , "stream_options" : null , "stream_options" : { } } `))
	f.Add([]byte(`{"stream":true,"x":["\\\"}",{"a":-1e9}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := OpenAI.Parse(endpointChat, body)
		if err != nil || !json.Valid(body) {
			InjectUsage(body)
			return
		}
		asks := req.IncludeUsage != nil && *req.IncludeUsage
		got, changed := InjectUsage(body)
		if changed != (req.Stream && !asks) {
			t.Fatalf("changed is %v: %s", changed, body)
		}
		if !changed {
			if !bytes.Equal(got, body) {
				t.Fatalf("it became %s", got)
			}
			return
		}
		after, err := OpenAI.Parse(endpointChat, got)
		if err != nil || after.IncludeUsage == nil || !*after.IncludeUsage {
			t.Fatalf("it doesn't ask, %v: %s", err, got)
		}
		if a, b := without(t, body), without(t, got); !reflect.DeepEqual(a, b) {
			t.Fatalf("it says other things: %v, %v", a, b)
		}
	})
}

// without decodes a body and takes away what asks for usage.
func without(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	options, _ := v["stream_options"].(map[string]any)
	delete(options, "include_usage")
	if len(options) == 0 {
		delete(v, "stream_options")
	}
	return v
}

package proof

import (
	"bytes"
	"encoding/csv"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

func streamsDir(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("RECOUP_STREAMS"); dir != "" && filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join("..", "..", "..", "..", "shared", "streams")
}

// The second reading of recorded answers comes to what the first one does, though
// they share nothing.
func TestRereadRecordings(t *testing.T) {
	dir := streamsDir(t)
	f, err := os.Open(filepath.Join(dir, "index.csv"))
	if os.IsNotExist(err) {
		t.Skipf("no recorded streams in %s", dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := func(row []string, name string) string { return row[slices.Index(rows[0], name)] }
	compared := 0
	for _, row := range rows[1:] {
		d, endpoint := dialectOf(column(row, "dialect"))
		if d == nil {
			continue
		}
		body, err := os.ReadFile(filepath.Join(dir, column(row, "file")))
		if err != nil {
			t.Fatal(err)
		}
		if column(row, "framing") == "json-lines" {
			body = bytes.ReplaceAll(append([]byte("data: "), bytes.TrimSpace(body)...), []byte("\n"), []byte("\n\ndata: "))
			body = append(body, "\n\n"...)
		}
		compared += compareReadings(t, column(row, "file"), d, endpoint, body)
	}
	if compared < 50 {
		t.Errorf("only %d recordings report something", compared)
	}
}

func dialectOf(name string) (dialect.Dialect, string) {
	switch name {
	case "openai-chat":
		return dialect.OpenAI, "/v1/chat/completions"
	case "openai-responses":
		return dialect.OpenAI, "/v1/responses"
	case "openai-completions":
		return dialect.OpenAI, "/v1/completions"
	case "anthropic":
		return dialect.Anthropic, "/v1/messages"
	case "gemini":
		return dialect.Gemini, "/v1beta/models/{model}:streamGenerateContent?alt=sse"
	case "cohere-v2":
		return dialect.Cohere, "/v2/chat"
	}
	return nil, ""
}

func compareReadings(t *testing.T, name string, d dialect.Dialect, endpoint string, body []byte) int {
	t.Helper()
	const media = "text/event-stream"
	first := d.Observe(dialect.Request{Endpoint: endpoint, Stream: true, Choices: 1}, media)
	second := newReread(streamlog.Header{Dialect: d.Name(), Endpoint: endpoint, Streamed: true},
		&streamlog.Head{Status: http.StatusOK, Header: http.Header{"Content-Type": {media}}})
	split := dialect.NewSSE(0)
	for _, p := range append(split.Feed(body), split.Flush()...) {
		first.Event(p.Data)
		second.event(p.Data, false)
	}
	u, _ := first.Usage()
	s := second.sums()
	in, inOK := u.InputTotal().Get()
	out, outOK := u.Output.Get()
	if s != (sums{in, out, inOK, outOK}) {
		t.Errorf("%s: input %d (%v), output %d (%v); the first reading says %d (%v), %d (%v)",
			name, s.input, s.inputOK, s.output, s.outputOK, in, inOK, out, outOK)
	}
	if inOK || outOK {
		return 1
	}
	return 0
}

func TestReread(t *testing.T) {
	for _, tt := range []struct {
		name, dialect, endpoint, media string
		events                         []string
		want                           sums
	}{
		{"chat, caches apart", "openai", "/v1/chat/completions", "application/json",
			[]string{`{"usage":{"prompt_tokens":10,"completion_tokens":5,`, `"total_tokens":55,"prompt_tokens_details":{"cached_tokens":40}}}`}, sums{50, 5, true, true}},
		{"chat, reasoning in the total alone", "openai", "/v1/chat/completions", "application/json",
			[]string{`{"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":35,"completion_tokens_details":{"reasoning_tokens":20}}}`}, sums{10, 25, true, true}},
		{"chat, no usage", "openai", "/v1/chat/completions", "text/event-stream",
			[]string{"data: {\"choices\":[]}\n\n", "data: [DONE]\n\n"}, sums{}},
		{"event in parts, CRLF", "openai", "/v1/chat/completions", "text/event-stream; charset=utf-8",
			[]string{"data: {\"usage\":+", "{\"prompt_tokens\":1,\"completion_tokens\":2}}\r\n\r\n"}, sums{1, 2, true, true}},
		{"responses, queued", "openai", "/v1/responses", "application/json", []string{`{"status":"queued","usage":{"input_tokens":3,"output_tokens":0}}`}, sums{}},
		{"messages, iterations", "anthropic", "/v1/messages", "application/json",
			[]string{`{"usage":{"input_tokens":1,"output_tokens":1,"iterations":[{"input_tokens":10,"output_tokens":4,"cache_read_input_tokens":2},{"input_tokens":20,"output_tokens":6}]}}`},
			sums{32, 10, true, true}},
		{"messages, the placeholder alone", "anthropic", "/v1/messages", "text/event-stream",
			[]string{"event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n"}, sums{7, 0, true, false}},
		{"gemini, an array", "gemini", "/v1beta/models/{model}:streamGenerateContent", "application/json",
			[]string{`[{"usageMetadata":{"promptTokenCount":4}},`, `{"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":3,"thoughtsTokenCount":9}}]`}, sums{4, 12, true, true}},
		{"negative and broken numbers", "openai", "/v1/chat/completions", "application/json",
			[]string{`{"usage":{"prompt_tokens":-4,"completion_tokens":1.5,"x":1}}`}, sums{}},
	} {
		r := newReread(streamlog.Header{Dialect: tt.dialect, Endpoint: tt.endpoint, Streamed: true},
			&streamlog.Head{Header: http.Header{"Content-Type": {tt.media}}})
		for _, e := range tt.events {
			part, more := bytes.CutSuffix([]byte(e), []byte("+"))
			r.event(part, more)
		}
		if got := r.sums(); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	r := newReread(streamlog.Header{Dialect: "openai"}, &streamlog.Head{Header: http.Header{"Content-Type": {"application/json"}}})
	for range maxReread>>20 + 1 {
		r.event(make([]byte, 1<<20), false)
	}
	if !r.large || r.buf != nil || r.sums() != (sums{}) {
		t.Error("a body that is too large is kept")
	}
}

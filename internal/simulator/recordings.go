package simulator

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Recording is one recorded provider stream: a row of index.csv.
type Recording struct {
	File     string
	Provider string
	Dialect  string // anthropic, openai-chat, openai-responses, gemini, bedrock-converse, …
	Framing  string // sse, aws-eventstream, json-lines
	Model    string
	Bytes    int    // of the file
	Events   int    // as the index counts them
	End      string // finish:stop, stop_reason:end_turn, error, none, …
	Done     bool   // has [DONE]
	SHA256   string // of the file, hex

	HasUsage   bool // the figures below are what the stream itself reports
	Input      int  // all of it, cache reads and writes included
	CacheRead  int
	CacheWrite int
	Output     int // billed, reasoning included
	Reasoning  int
	UsageJSON  string // the last usage object as it came

	dir string
}

// Recordings reads a folder's index.csv. The bodies are read by Body.
func Recordings(dir string) ([]Recording, error) {
	if dir == "" {
		return nil, errors.New("simulator: no folder of recordings is configured")
	}
	f, err := os.Open(filepath.Join(dir, "index.csv"))
	if err != nil {
		return nil, fmt.Errorf("simulator: recordings: %w", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("simulator: recordings: %w", err)
	}
	if len(rows) == 0 {
		return nil, errors.New("simulator: recordings: index.csv is empty")
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	var recs []Recording
	for n, row := range rows[1:] {
		rec, err := readRow(row, column)
		if err != nil {
			return nil, fmt.Errorf("simulator: recordings: row %d: %w", n+2, err)
		}
		rec.dir = dir
		recs = append(recs, rec)
	}
	return recs, nil
}

func readRow(row []string, column map[string]int) (Recording, error) {
	var failed error
	text := func(name string) string {
		i, ok := column[name]
		if !ok {
			failed = fmt.Errorf("no column %q", name)
			return ""
		}
		return row[i]
	}
	number := func(name string) int {
		v := text(name)
		if v == "" {
			return 0
		}
		n, err := strconv.Atoi(v)
		if err != nil {
			failed = fmt.Errorf("%s: %w", name, err)
		}
		return n
	}
	rec := Recording{
		File:       text("file"),
		Provider:   text("provider"),
		Dialect:    text("dialect"),
		Framing:    text("framing"),
		Model:      text("model"),
		Bytes:      number("bytes"),
		Events:     number("events"),
		End:        text("end"),
		Done:       text("done_marker") == "True",
		SHA256:     text("sha256"),
		HasUsage:   text("exp_output_billed") != "",
		Input:      number("exp_input_total"),
		CacheRead:  number("exp_cache_read"),
		CacheWrite: number("exp_cache_write"),
		Output:     number("exp_output_billed"),
		Reasoning:  number("exp_reasoning"),
		UsageJSON:  text("usage_json"),
	}
	return rec, failed
}

// Raw is the file as it is.
func (r Recording) Raw() ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(r.dir, r.File))
	if err != nil {
		return nil, fmt.Errorf("simulator: recording: %w", err)
	}
	return b, nil
}

// Body is the HTTP body as the provider sent it. Of json-lines the source had
// dropped the SSE framing: each line becomes one event again, with an event
// line where the dialect has them.
func (r Recording) Body() ([]byte, error) {
	raw, err := r.Raw()
	if err != nil || r.Framing != "json-lines" {
		return raw, err
	}
	named := r.Dialect == "anthropic" || r.Dialect == "openai-responses"
	var body []byte
	for line := range bytes.SplitSeq(raw, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if named {
			var event struct {
				Type string `json:"type"`
			}
			if err := json.Unmarshal(line, &event); err != nil {
				return nil, fmt.Errorf("simulator: recording %s: %w", r.File, err)
			}
			body = append(body, "event: "+event.Type+"\n"...)
		}
		body = append(body, "data: "...)
		body = append(body, line...)
		body = append(body, "\n\n"...)
	}
	return body, nil
}

// ContentType is that of Body.
func (r Recording) ContentType() string {
	if r.Framing == "aws-eventstream" {
		return eventStreamType
	}
	return "text/event-stream; charset=utf-8"
}

// bill is a script with the recording's usage. Where it reports none, output
// is zero and input is estimated from the request, as ever. Two providers
// report parts that exceed their whole, and bill the whole: Cohere counts
// cached tokens outside its billed units, and OpenRouter once told of more
// reasoning than output.
func (r Recording) bill() Script {
	if !r.HasUsage {
		return Script{Tokens: -1}
	}
	exact := func(n int) int {
		if n == 0 {
			return -1
		}
		return n
	}
	s := Script{Hidden: min(r.Reasoning, r.Output)}
	s.Tokens = exact(r.Output - s.Hidden)
	if r.CacheRead+r.CacheWrite <= r.Input {
		s.CacheRead, s.CacheWrite = r.CacheRead, r.CacheWrite
	}
	s.Input = exact(r.Input - s.CacheRead - s.CacheWrite)
	return s
}

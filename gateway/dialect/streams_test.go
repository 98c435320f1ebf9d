package dialect

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A recording is a provider's answer as it was on the wire, and what the index says of it.
type recording struct {
	name     string
	dialect  Dialect
	endpoint string
	body     []byte
	events   int // as the index counts them
	end      string
	model    string
	framed   bool // the source had dropped the SSE framing; it is added again here

	column func(name string) string // of the index
}

// recordings returns the recorded streams of the dialects, and skips the test where there are none.
func recordings(t testing.TB) []recording {
	t.Helper()
	dir := recordingsDir(t)
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
	var recs []recording
	for _, row := range rows[1:] {
		r := recording{name: column(row, "file"), end: column(row, "end"), model: column(row, "model")}
		r.column = func(name string) string { return column(row, name) }
		switch column(row, "dialect") {
		case "openai-chat":
			r.dialect, r.endpoint = OpenAI, endpointChat
		case "openai-responses":
			r.dialect, r.endpoint = OpenAI, endpointResponses
		case "openai-completions":
			r.dialect, r.endpoint = OpenAI, endpointCompletions
		case "anthropic":
			r.dialect, r.endpoint = Anthropic, endpointMessages
		case "gemini":
			r.dialect = Gemini
		case "gemini-interactions":
			r.dialect, r.endpoint = Gemini, endpointInteractions
		case "cohere-v2":
			r.dialect = Cohere
		default:
			continue
		}
		if r.events, err = strconv.Atoi(column(row, "events")); err != nil {
			t.Fatal(err)
		}
		if r.body, err = os.ReadFile(filepath.Join(dir, r.name)); err != nil {
			t.Fatal(err)
		}
		if column(row, "framing") == "json-lines" {
			r.body, r.framed = frame(t, r.body), true
		}
		recs = append(recs, r)
	}
	if len(recs) == 0 {
		t.Fatalf("%s lists no stream of the dialects", dir)
	}
	return recs
}

// recordingsDir is RECOUP_STREAMS, relative to the repository's root.
func recordingsDir(t testing.TB) string {
	dir := os.Getenv("RECOUP_STREAMS")
	if dir == "" {
		dir = filepath.Join("..", "shared", "streams")
	}
	if filepath.IsAbs(dir) {
		return dir
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return filepath.Join(root, dir)
		}
		if filepath.Dir(root) == root {
			t.Fatal("no go.mod above the package")
		}
		root = filepath.Dir(root)
	}
}

// frame makes an SSE body of one JSON payload per line.
func frame(t testing.TB, lines []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(lines) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if !json.Valid(line) {
			t.Fatalf("a line is no JSON: %.80s", line)
		}
		b.WriteString("data: ")
		b.Write(line)
		b.WriteString("\n\n")
	}
	return b.Bytes()
}

// recordingOf returns the first recording whose name contains part.
func recordingOf(t testing.TB, part string) recording {
	t.Helper()
	for _, r := range recordings(t) {
		if strings.Contains(r.name, part) {
			return r
		}
	}
	t.Fatalf("no recording %q", part)
	return recording{}
}

func (r recording) observer() Observer {
	return r.dialect.Observe(Request{Endpoint: r.endpoint, Stream: true, Choices: 1}, "text/event-stream; charset=utf-8")
}

// heldPart is a part with bytes of its own.
type heldPart struct {
	data  string
	more  bool
	whole bool
}

func hold(parts []Part) []heldPart {
	var held []heldPart
	for _, p := range parts {
		held = append(held, heldPart{string(p.Data), p.More, p.Whole})
	}
	return held
}

// split feeds body in pieces that end at cuts, which are positions in it, and holds all parts. Each
// piece is overwritten after its parts were read: parts must not be read from older ones.
func split(s Framing, body []byte, cuts ...int) []heldPart {
	var held []heldPart
	from := 0
	for _, to := range append(slices.Clone(cuts), len(body)) {
		piece := bytes.Clone(body[from:to])
		held = append(held, hold(s.Feed(piece))...)
		for i := range piece {
			piece[i] = '!'
		}
		from = to
	}
	return append(held, hold(s.Flush())...)
}

func joined(parts []heldPart) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.data)
	}
	return b.String()
}

// observe gives parts to o as the gateway does, and returns the sign of each event that ended.
func observe(o Observer, parts []heldPart) []Sign {
	var signs []Sign
	first := true
	for _, p := range parts {
		switch {
		case p.more:
			o.Large([]byte(p.data), first, false)
		case p.whole && first:
			signs = append(signs, o.Event([]byte(p.data)))
		case p.whole:
			signs = append(signs, o.Large([]byte(p.data), false, true))
		}
		first = !p.more
	}
	return signs
}

func count(signs []Sign, bit Sign) int {
	n := 0
	for _, s := range signs {
		if s&bit != 0 {
			n++
		}
	}
	return n
}

// haveRecordings tells whether there are recorded streams.
func haveRecordings(t testing.TB) bool {
	_, err := os.Stat(filepath.Join(recordingsDir(t), "index.csv"))
	return err == nil
}

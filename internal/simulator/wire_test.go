package simulator_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

func TestFormsOfFraming(t *testing.T) {
	f := start(t, simulator.Options{Deterministic: true, Default: simulator.Script{Tokens: 6}})
	plain := f.ok(chatPath, chatStream)

	f.Next(simulator.Script{Tokens: 6, CRLF: true})
	crlf := f.ok(chatPath, chatStream)
	if got := bytes.ReplaceAll(crlf, []byte("\r\n"), []byte("\n")); !bytes.Equal(got, plain) || bytes.Count(crlf, []byte("\r\n")) != bytes.Count(plain, []byte("\n")) {
		t.Errorf("CRLF: %q", crlf[:200])
	}

	f.Next(simulator.Script{Tokens: 6, Comments: 3, CommentEvery: 2})
	commented := f.ok(chatPath, chatStream)
	const comment = ": OPENROUTER PROCESSING\n\n"
	// 9 events: three comments before, and one after every second.
	if !bytes.HasPrefix(commented, []byte(strings.Repeat(comment, 3)+"data:")) || bytes.Count(commented, []byte(comment)) != 3+4 {
		t.Errorf("comments: %s", commented)
	}
	if got := bytes.ReplaceAll(commented, []byte(comment), nil); !bytes.Equal(got, plain) {
		t.Error("comments changed the rest")
	}
	if e := f.last(); e.Events != 9 || e.Bytes != len(commented) {
		t.Errorf("comments are no events: %+v", e)
	}

	f.Next(simulator.Script{Tokens: 6, EventsPerWrite: 4})
	if got := f.ok(chatPath, chatStream); !bytes.Equal(got, plain) {
		t.Error("batches changed the bytes")
	}
	if e := f.last(); e.Events != 9 || e.Bytes != len(plain) {
		t.Errorf("batches: %+v", e)
	}
}

func TestPaddedLinesAreStillJSON(t *testing.T) {
	const size = 1 << 20
	f := start(t, simulator.Options{Default: simulator.Script{Tokens: 2, PadLineBytes: size}})
	body := f.ok(chatPath, chatUsage)
	long := 0
	for _, e := range events(t, body, "\n") {
		if len(e.data) == size {
			long++
		}
	}
	if a := readChat(t, body); long != 2 || words(a.texts[0]) != 2 || !a.done {
		t.Errorf("%d lines of %d bytes, answer %v", long, size, a.done)
	}
}

func TestWriteChunkSplitsInsideCharacters(t *testing.T) {
	script := simulator.Script{Tokens: 12, Unicode: true, WriteChunk: 3}
	f := start(t, simulator.Options{Deterministic: true, Default: script})
	resp := f.open(f.request(ctx(t), chatPath, chatStream))
	split := false
	var body []byte
	for {
		b := make([]byte, 3)
		n, err := resp.Body.Read(b)
		split = split || n > 0 && !utf8.Valid(b[:n])
		body = append(body, b[:n]...)
		if err != nil {
			break
		}
	}
	if !split {
		t.Error("no read ended inside a character")
	}
	f.Next(simulator.Script{Tokens: 12, Unicode: true})
	if whole := f.ok(chatPath, chatStream); !bytes.Equal(body, whole) {
		t.Error("chunks changed the bytes")
	}
	if text := readChat(t, body).texts[0]; words(text) != 12 || len(text) == utf8.RuneCountInString(text) {
		t.Errorf("text %q", text)
	}
}

func TestGzip(t *testing.T) {
	f := start(t, simulator.Options{Deterministic: true, Default: simulator.Script{Tokens: 30, Gzip: simulator.GzipAccepted}})
	plain := f.ok(chatPath, chatStream)
	whole := f.ok(chatPath, chatWhole)
	for body, want := range map[string][]byte{chatStream: plain, chatWhole: whole} {
		r := f.request(ctx(t), chatPath, body)
		r.Header.Set("Accept-Encoding", "br, gzip")
		resp := f.open(r)
		zip, err := gzip.NewReader(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(zip)
		if err != nil || !bytes.Equal(got, want) || resp.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%d bytes of %d, %v, %v", len(got), len(want), err, resp.Header)
		}
		if e := f.last(); e.Bytes != len(want) {
			t.Errorf("entry %+v", e)
		}
	}
	// Every event can be read as soon as it was written.
	f.Next(simulator.Script{Tokens: 30, Gzip: simulator.GzipForced, StallAfterEvents: 9, CutAfterEvents: 9})
	resp := f.open(f.request(ctx(t), chatPath, chatStream))
	zip, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.WaitStalled(ctx(t), 1); err != nil {
		t.Fatal(err)
	}
	n := f.Bill()[4].Bytes
	if got := readN(t, zip, n); len(events(t, got, "\n")) != 9 {
		t.Errorf("%d bytes before the stall", n)
	}
	f.Release()
	if _, err := io.ReadAll(zip); err == nil {
		t.Error("a cut gzip body ended well")
	}
}

func TestStampAndObfuscation(t *testing.T) {
	f := start(t, simulator.Options{Default: simulator.Script{Tokens: 5, Stamp: true, Obfuscation: true}})
	before := time.Now().UnixNano()
	body := f.ok(chatPath, chatUsage)
	a := readChat(t, body)
	stamped := 0
	for _, c := range a.chunks {
		if c.Stamp >= before && c.Stamp <= time.Now().UnixNano() {
			stamped++
		}
	}
	if n := strings.Count(string(body), `"obfuscation":"`); stamped != 5 || n != len(a.chunks) {
		t.Errorf("%d stamps, %d paddings in %d chunks", stamped, n, len(a.chunks))
	}
}

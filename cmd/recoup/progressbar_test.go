package main

import (
	"bytes"
	"testing"
	"time"
)

func TestProgressBar(t *testing.T) {
	var out bytes.Buffer
	b := newProgressBar(&out, "reading")
	for done, want := range map[float64]string{
		-1: "reading, 2 s", 0: "reading [..............................] 0 %, 2 s",
		0.5: "reading [###############...............] 50 %, 2 s", 1: "reading [##############################] 100 %, 2 s",
	} {
		if b.set(done); b.line(2*time.Second) != want {
			t.Errorf("%v: %q, want %q", done, b.line(2*time.Second), want)
		}
	}
	b.end()
	if out.Len() > 0 {
		t.Errorf("no terminal, and it says %q", out.String())
	}
}

package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/incident"
	"github.com/recoup-gateway/recoup/internal/audit/render"
	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

var update = flag.Bool("update", false, "write what docs/audits.md shows of the demo's incident")

// The lines of docs/audits.md between which the report of the demo's incident stands.
const (
	docBegins = "<!-- the report of the demo's incident: go test ./cmd/recoup -run TestDocumentedAudit -update -->\n"
	docEnds   = "<!-- end of the report -->\n"
)

// TestDocumentedAudit gives the demo, has its deploy found, and compares what its audit
// says with what docs/audits.md shows: the figures of the same seed are always the same.
// It runs by itself, as TestDemo does.
func TestDocumentedAudit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	c, _ := demoCommand(t, "--once", "--format=json", "--data-dir="+dir)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	books, err := (&program{stderr: os.Stderr}).openForReading(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer books.Close()
	shown := shownInDoc(t, deployOf(t, books), books)
	path := filepath.Join("..", "..", "docs", "audits.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), docBegins)
	was, after, ok2 := strings.Cut(rest, docEnds)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the report", path)
	}
	if was == shown {
		return
	}
	if !*update {
		t.Fatalf("%s is behind: it has\n%s\nand the demo's incident is\n%s", path, was, shown)
	}
	if err := os.WriteFile(path, []byte(before+docBegins+shown+docEnds+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// deployOf is the deploy that the rule finds in the demo's books. There are two incidents:
// the other is the kill of the gateway.
func deployOf(t *testing.T, books *ledger.Ledger) ledger.Incident {
	t.Helper()
	streams, err := incident.Booked(t.Context(), books, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	found := incident.DefaultRule().Find(streams)
	if len(found) != 2 || found[0].Kind != ledger.KindDeploy || found[1].Kind != ledger.KindGateway {
		t.Fatalf("found %+v", found)
	}
	f := found[0]
	return ledger.Incident{Number: 1, Name: "a client's deploy", Found: true, Kind: f.Kind, Start: f.Start, End: f.End, Why: f.Why}
}

// shownInDoc is what of the report doesn't depend on the day: what it cost, and why.
func shownInDoc(t *testing.T, i ledger.Incident, books *ledger.Ledger) string {
	t.Helper()
	r, err := makeReport(t.Context(), books, pricing.Embedded(), report.Query{Incident: &i})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := render.Write(&b, r, "markdown", render.Options{}); err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	for _, s := range [][2]string{{"## What it cost\n", "\nUnusable and never"}, {"## By cause\n", "\nAn attempt can have"}, {"## By model\n", "\n\\* A placeholder"}} {
		text := between(t, b.String(), s[0], s[1])
		shown.WriteString("**" + strings.TrimSpace(strings.TrimPrefix(s[0], "## ")) + "**\n" + text + "\n")
	}
	return shown.String()
}

package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"html"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/books/histories"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/token"
)

// costs are what the worked examples cost for nothing, as the design has them.
var costs = map[string]string{
	"1 clean": "0", "2 break at 600, resumed to the end": "0", "3 two breaks": "0", "4 never came back": "0.04036", "4 billed in full anyway": "0.055",
	"4 not reclaimable": "0.028", "5 explicit cancel": "0.0009", "6 provider fails": "0.031", "6 asked again, clean": "0", "6 the bill shows it as free": "0",
	"7 reasoning, then the gateway is killed": "0.11636", "8 not streamed": "0", "9 a resume that failed": "0.04036", "10 on gpt-5.5": "0.018", "10 on gpt-5.5-mini": "0.0012",
}

// exampleBooks are those of the worked examples, each with its name as a tag.
func exampleBooks(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	l, err := ledger.Open(dir, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for n, x := range histories.Examples() {
		at := time.Date(2026, 11, 23, 12, n, 0, 0, time.UTC)
		e := settle.Evidence{History: x.History, Bases: settle.Bases{Input: token.Reported, Output: token.Reported}, Output: token.Exactly(x.History.Output)}
		b, err := books.Keep(e.History)
		if err != nil {
			t.Fatal(err)
		}
		p, err := e.Posting(b)
		if err != nil {
			t.Fatal(err)
		}
		model := "gpt-5.5"
		if strings.HasPrefix(x.Name, "8") {
			model = "gpt-5-mini"
		} else if strings.HasSuffix(x.Name, "mini") {
			model = "gpt-5.5-mini"
		}
		p.Attempt = ledger.Attempt{Stream: ledger.ID{1, 15: byte(n)}, Number: 1, Provider: "openai", Model: model, At: at, Ended: at.Add(20 * time.Second), Tags: map[string]string{"example": x.Name}}
		if _, err := l.Post(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// recoup runs the command without a gateway.
func recoup(t *testing.T, args ...string) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	run := program{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr}
	code := run.run(t.Context(), args)
	return ran{code, stdout.String(), stderr.String()}
}

// shownRow is what a format shows of an example.
type shownRow struct{ cost, paid, delivered, unusable, never, avoided, net string }

// plain is a figure without what makes it easy to read.
func plain(s string) string {
	s = strings.NewReplacer("$", "", ",", "", " ", "", "\u00a0", "").Replace(s)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" || s == "" {
		return "0"
	}
	return s
}

// rowOf reads the cells of a table's row: its name, then attempts, and figures.
func rowOf(cells []string) (string, shownRow) {
	for i := range cells {
		cells[i] = strings.TrimSpace(html.UnescapeString(cells[i]))
	}
	f := cells[2:]
	for i := range f {
		f[i] = plain(f[i])
	}
	return cells[0], shownRow{f[0], f[1], f[2], f[3], f[4], f[5], f[6]}
}

// readers find the rows of the examples in each format.
var readers = map[string]func(t *testing.T, out string) map[string]shownRow{
	"table": func(t *testing.T, out string) map[string]shownRow {
		return exampleRows(between(t, out, "By tag example", "By hour"), "│")
	},
	"markdown": func(t *testing.T, out string) map[string]shownRow {
		return exampleRows(between(t, out, "## By tag example", "## By hour"), "|")
	},
	"html": func(t *testing.T, out string) map[string]shownRow {
		rows := map[string]shownRow{}
		for _, tr := range regexp.MustCompile(`(?s)<tr[^>]*>(.*?)</tr>`).FindAllStringSubmatch(between(t, out, `id="by-tag"`, `id="by-hour"`), -1) {
			var cells []string
			for _, td := range regexp.MustCompile(`(?s)<t[hd][^>]*>(.*?)</t[hd]>`).FindAllStringSubmatch(tr[1], -1) {
				cells = append(cells, td[1])
			}
			name, row := rowOf(cells)
			rows[name] = row
		}
		return rows
	},
	"json": func(t *testing.T, out string) map[string]shownRow {
		var r report.Report
		if err := json.Unmarshal([]byte(out), &r); err != nil || r.Schema != report.Schema {
			t.Fatalf("%v: %s", err, r.Schema)
		}
		rows := map[string]shownRow{}
		for _, g := range r.Groups {
			f := g.Figures
			data, err := json.Marshal([]any{f.Cost.Point, f.Paid.Point, f.Delivered.OutputTokens, f.Unusable.OutputTokens, f.NeverReceived.OutputTokens, f.Avoided.USD, f.Net})
			if err != nil {
				t.Fatal(err)
			}
			name, row := rowOf(append([]string{g.Key[0], ""}, strings.Split(strings.Trim(strings.ReplaceAll(string(data), `"`, ""), "[]"), ",")...))
			rows[name] = row
		}
		return rows
	},
	"csv": func(t *testing.T, out string) map[string]shownRow {
		all, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if err != nil || len(all) == 0 {
			t.Fatalf("%v: %s", err, out)
		}
		at := map[string]int{}
		for i, name := range all[0] {
			at[name] = i
		}
		rows := map[string]shownRow{}
		for _, r := range all[1:] {
			cells := []string{r[0], ""}
			for _, name := range []string{"cost_usd", "paid_usd", "delivered_tokens", "unusable_tokens", "never_received_tokens", "avoided_usd", "net_usd"} {
				cells = append(cells, r[at[name]])
			}
			name, row := rowOf(cells)
			rows[name] = row
		}
		return rows
	},
}

func between(t *testing.T, s, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(s, from)
	part, _, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatalf("no %q to %q in\n%s", from, to, s)
	}
	return part
}

func exampleRows(text, bar string) map[string]shownRow {
	rows := map[string]shownRow{}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), bar), bar)
		if len(cells) == 9 && strings.TrimSpace(cells[0]) != "" {
			name, row := rowOf(cells)
			rows[name] = row
		}
	}
	return rows
}

// The ten worked examples of the design, by the command, in every format: exactly
// those figures.
func TestAuditExamples(t *testing.T) {
	dir := exampleBooks(t)
	for format, read := range readers {
		t.Run(format, func(t *testing.T) {
			args := []string{"audit", "--data-dir", dir, "--by", "tag:example", "--format", format}
			got := recoup(t, args...)
			if got.code != 0 || got.stderr != "" {
				t.Fatalf("%+v", got)
			}
			if again := recoup(t, args...); again.stdout != got.stdout {
				t.Error("the same books give other bytes")
			}
			rows := read(t, got.stdout)
			for _, x := range histories.Examples() {
				tokens := map[string]int64{}
				for _, o := range x.Outcomes {
					tokens[o.Outcome] += o.Tokens
				}
				n := func(outcome string) string {
					data, _ := json.Marshal(tokens[outcome]) // of a number
					return string(data)
				}
				want := shownRow{costs[x.Name], x.Paid, n("delivered"), n("wasted"), n("lost"), x.Saved, x.Net}
				for _, f := range []*string{&want.delivered, &want.unusable, &want.never} {
					*f = plain(*f)
				}
				if row, ok := rows[x.Name]; !ok || row != want {
					t.Errorf("%s: shown %+v, want %+v", x.Name, row, want)
				}
			}
			if format != "csv" && !strings.Contains(strings.ReplaceAll(got.stdout, ",", ""), "0.5") {
				t.Error("no total")
			}
		})
	}
}

// What can't be answered is refused before anything is read, with what was expected.
func TestAuditRefuses(t *testing.T) {
	dir := exampleBooks(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--since", "2026-11-24", "--until", "2026-11-23"}, "the window is reversed or empty"},
		{[]string{"--since", "tomorrow"}, `since: audit: time "tomorrow": want 2026-11-23`},
		{[]string{"--by", "team"}, `by "team": want model, provider, cause, hour or tag:NAME`},
		{[]string{"--format", "pdf"}, `format "pdf": want table, json, csv, markdown, html`},
		{[]string{"--incident", "1", "--since", "1h"}, "an incident has its own window"},
		{[]string{"--incident", "x"}, `incident "x": want its number`},
		{[]string{"--incident", "7"}, `not found: incident 7: the books have none`},
		{[]string{"--admin-url", "http://127.0.0.1:1"}, "none of the others can be"},
	} {
		got := recoup(t, append([]string{"audit", "--data-dir", dir}, c.args...)...)
		if got.code == 0 || got.stdout != "" || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%v: %+v, want %q", c.args, got, c.want)
		}
	}
	// Also no gateway is asked what none could answer.
	if got := recoup(t, "audit", "--since", "1d", "--until", "2d", "--admin-url", "http://127.0.0.1:1"); got.code != exitFailed || !strings.Contains(got.stderr, "the window is reversed or empty") {
		t.Errorf("%+v", got)
	}
	if got := recoup(t, "audit", "--data-dir", t.TempDir()); got.code != exitFailed || !strings.Contains(got.stderr, "has no ledger") {
		t.Errorf("%+v", got)
	}
}

// A data directory is only read: also one on which nothing can be written, and one
// whose process was killed.
func TestAuditWritesNothing(t *testing.T) {
	dir := exampleBooks(t)
	before := listing(t, dir)
	if got := recoup(t, "audit", "--data-dir", dir); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	if after := listing(t, dir); after != before {
		t.Errorf("was\n%s\nis\n%s", before, after)
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			data, err2 := os.ReadFile(path)
			b.WriteString(path + " " + info.Mode().String() + " " + strings.Repeat("x", len(data)%7) + "\n")
			return err2
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Of a gateway that runs: by its admin plane, and by its data directory, which it has
// locked.
func TestAuditRunning(t *testing.T) {
	p, _ := provided(t)
	p.post(t, chatURL, streamedChat, map[string]string{"Recoup-Tags": "team=search", "Authorization": "Bearer sk-any"})
	resp, err := http.Get(p.url + "/v1/models")
	if err == nil {
		err = resp.Body.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	online := p.settledReport(t, "audit", "--format", "json", "--by", "tag:team")
	if u := online.Uncovered; !u.Known || len(u.Calls) != 1 || u.Calls[0].Calls != 1 || u.Calls[0].Provider != "openai" {
		t.Errorf("not covered: %+v", u)
	}
	if g := online.Groups; len(g) != 1 || g[0].Key[0] != "search" || online.Total.Paid.Point.Sign() <= 0 || online.Head.Entry == 0 {
		t.Errorf("%+v", online)
	}
	offline := p.settledReport(t, "audit", "--format", "json", "--data-dir", p.dir, "--by", "tag:team")
	if offline.Total != online.Total || offline.Head != online.Head || offline.Uncovered.Known {
		t.Errorf("offline %+v, online %+v", offline.Total, online.Total)
	}
	// What a killed gateway leaves is what is there at any moment.
	left := filepath.Join(t.TempDir(), "left")
	if err := os.CopyFS(left, os.DirFS(p.dir)); err != nil {
		t.Fatal(err)
	}
	if killed := p.settledReport(t, "audit", "--format", "json", "--data-dir", left, "--by", "tag:team"); killed.Total != online.Total {
		t.Errorf("killed %+v, online %+v", killed.Total, online.Total)
	}
	for _, bad := range []string{"until=x", "by=x", "format=x", "incident=9", "incident=x", "sinc=1h", "since=2026-01-02&until=2026-01-01", "since=1h&since=2h"} {
		resp, err := http.Get(p.admin + "/api/v1/audit?" + bad)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Error struct{ Code, Message string }
		}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode/100 != 4 || answer.Error.Message == "" {
			t.Errorf("%s: %d, %+v, %v", bad, resp.StatusCode, answer, err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// settledReport asks for a report until the gateway has settled a call.
func (p *process) settledReport(t *testing.T, args ...string) (r report.Report) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		got := p.command(t, nil, args...)
		if got.code != 0 || got.stderr != "" {
			t.Fatalf("%+v", got)
		}
		r = report.Report{}
		if err := json.Unmarshal([]byte(got.stdout), &r); err != nil {
			t.Fatal(err)
		}
		if r.Total.Attempts > 0 && r.Total.Pending == 0 {
			return r
		}
	}
	t.Fatalf("nothing is settled: %+v", r.Total)
	return r
}

// An incident is declared, closed, listed and audited by commands.
func TestIncidentCommands(t *testing.T) {
	p, _ := provided(t)
	ask := func(args ...string) ran { return p.command(t, nil, append([]string{"incident"}, args...)...) }
	if got := ask("open", "deploy 4711", "--label", "version=7"); got.code != 0 || !strings.Contains(got.stdout, "deploy 4711") || !strings.Contains(got.stdout, "version=7") {
		t.Fatalf("%+v", got)
	}
	p.post(t, chatURL, streamedChat, map[string]string{"Authorization": "Bearer sk-any"})
	if got := ask("close", "deploy 4711"); got.code != 0 || !strings.Contains(got.stdout, "provisional") {
		t.Errorf("%+v", got)
	}
	if got := ask("close", "1"); got.code != exitFailed || !strings.Contains(got.stderr, "incident 1 has ended") {
		t.Errorf("%+v", got)
	}
	if got := ask("open", "earlier", "--since", "2026-11-23T12:00", "--until", "2026-11-23T12:05", "--kind", "network"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if got := ask("open", "x", "--until", "2026-11-23"); got.code != exitFailed || !strings.Contains(got.stderr, "the incident ends") {
		t.Errorf("%+v", got)
	}
	if got := ask("show", "nothing"); got.code != exitFailed || !strings.Contains(got.stderr, `there is no incident "nothing"`) {
		t.Errorf("%+v", got)
	}
	if got := ask("show", "12"); got.code != exitFailed || !strings.Contains(got.stderr, `there is no incident "12"`) {
		t.Errorf("%+v", got)
	}
	// Times are those that --since takes, whatever the machine's zone is.
	if got := ask("show", "earlier"); got.code != 0 || !strings.Contains(got.stdout, "2026-11-23 12:05:00") || !strings.Contains(got.stdout, "start (UTC)") {
		t.Errorf("%+v", got)
	}
	// A name may be a number, but a number is that of an incident first.
	for _, name := range []string{"4711", "1"} {
		if got := ask("open", name, "--since", "1h"); got.code != 0 {
			t.Errorf("%+v", got)
		}
	}
	if got := ask("close", "4711", "--until", "30m"); got.code != 0 || !strings.Contains(got.stdout, " 3 │ 4711 ") {
		t.Errorf("%+v", got)
	}
	if got := ask("show", "1"); got.code != 0 || !strings.Contains(got.stdout, "deploy 4711") {
		t.Errorf("%+v", got)
	}
	var list struct{ Incidents []report.Incident }
	if got := ask("list", "--format", "json"); json.Unmarshal([]byte(got.stdout), &list) != nil || len(list.Incidents) != 4 || list.Incidents[1].Kind != "network" {
		t.Errorf("%+v", got)
	}
	got := p.command(t, nil, "audit", "--incident", "1", "--format", "markdown")
	if got.code != 0 || !strings.HasPrefix(got.stdout, "# Incident 1: deploy 4711\n") || !strings.Contains(got.stdout, "No attempts: nothing was broken") {
		t.Errorf("%+v", got)
	}
	// Who has the books alone can't list them, and is told.
	got = p.command(t, nil, "audit", "--incident", "9", "--data-dir", p.dir)
	if got.code != exitFailed || !strings.HasSuffix(got.stderr, `the newest in the books: 4 "1", 3 "4711", 2 "earlier", 1 "deploy 4711"`+"\n") {
		t.Errorf("%+v", got)
	}
	// To declare takes the operator's token.
	resp, err := http.Post(p.admin+"/api/v1/incidents", "application/json", strings.NewReader(`{"name":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %d, %v", resp.StatusCode, err)
	}
}

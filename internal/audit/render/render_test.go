package render_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/render"
	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/pricing"
)

func rendered(t *testing.T, r *report.Report, format string) string {
	t.Helper()
	var b bytes.Buffer
	if err := render.Write(&b, r, format, render.Options{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What clients call themselves does no harm in any format, and the same report gives
// the same bytes.
func TestHarmless(t *testing.T) {
	for name, r := range reports(t) {
		for _, format := range render.Formats() {
			out := rendered(t, r, format)
			if out != rendered(t, r, format) {
				t.Errorf("%s, %s: other bytes the second time", name, format)
			}
			if strings.Contains(out, "\x1b") || strings.Contains(out, "<script") && format != "csv" && format != "table" || len(out) < 100 {
				t.Errorf("%s, %s: %q", name, format, out)
			}
			if format == "csv" {
				if rows, err := csv.NewReader(strings.NewReader(out)).ReadAll(); err != nil || len(rows) != len(r.Groups)+1 {
					t.Errorf("%s: %d rows, %v", name, len(rows), err)
				}
			}
		}
	}
}

// No spreadsheet takes a tag for a formula.
func TestFormulas(t *testing.T) {
	r := reports(t)["window"]
	for _, tag := range []string{"=1+1", "+1", "-1", "@x", "＝1+1", "fine"} {
		r.Groups[0].Key[1] = tag
		rows, err := csv.NewReader(strings.NewReader(rendered(t, r, "csv"))).ReadAll()
		want := "'" + tag
		if tag == "fine" {
			want = tag
		}
		if err != nil || rows[1][1] != want {
			t.Errorf("%q: %q, %v", tag, rows[1][1], err)
		}
	}
}

// The JSON has all that the report has.
func TestJSON(t *testing.T) {
	for name, r := range reports(t) {
		var back report.Report
		if err := json.Unmarshal([]byte(rendered(t, r, "json")), &back); err != nil {
			t.Fatal(err)
		}
		a, err := json.Marshal(r)
		b, err2 := json.Marshal(&back)
		if err != nil || err2 != nil || !bytes.Equal(a, b) || back.Schema != "recoup.audit/1" {
			t.Errorf("%s: %v, %v", name, err, err2)
		}
		if len(back.Timeline.Buckets) != len(r.Timeline.Buckets) || !reflect.DeepEqual(back.By, r.By) {
			t.Errorf("%s: %d buckets, by %v", name, len(back.Timeline.Buckets), back.By)
		}
	}
}

// The HTML needs nothing from elsewhere, and is well-formed.
func TestHTML(t *testing.T) {
	for name, r := range reports(t) {
		page := rendered(t, r, "html")
		for _, bad := range []string{"http://", "https://", "<script", "<link", "<img", "@import", "url(", "ZgotmplZ", "NaN", "Inf"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: it has %s", name, bad)
			}
		}
		d := xml.NewDecoder(strings.NewReader(page))
		d.Entity = xml.HTMLEntity
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if want := strings.Count(page, "<svg"); name != "empty" && want < 5 {
			t.Errorf("%s: %d pictures", name, want)
		}
		if shaded := strings.Contains(page, `class="incident"/>`); shaded != (name == "incident") {
			t.Errorf("%s: an incident is shaded: %v", name, shaded)
		}
	}
}

// The first page answers in the order of importance.
func TestOrder(t *testing.T) {
	order := []string{
		"Cost: paid for nothing", "paid, but the answer is unusable", "paid, but never received", "caused by the gateway", "Avoided by resumes (estimate)", "Net: ",
		"Total paid", "= delivered", "+ unusable", "+ never received", "+ pending", "+ input",
		"Reported or billed", "Estimated", "Reconciled with a bill", "Unexplained", "Top cause", "Top of the tag team", "Not covered", "/v1/models", "Price book", "Ledger head", "By cause",
	}
	r := reports(t)["window"]
	for _, format := range []string{"table", "markdown"} {
		rest := rendered(t, r, format)
		for _, what := range order {
			_, after, ok := strings.Cut(rest, what)
			if !ok {
				t.Fatalf("%s: no %q after what comes before it in\n%s", format, what, rendered(t, r, format))
			}
			rest = after
		}
	}
}

// What is in no figure is said in every format, and in a way that adds nothing up.
func TestSaysWhatIsMissing(t *testing.T) {
	sum := func(p pricing.Picodollars) pricing.Sum { return pricing.Sum{}.Add(p) }
	for _, name := range []string{"window", "empty"} {
		r := reports(t)[name]
		plain := len(strings.Split(rendered(t, r, "csv"), "\n"))
		r.Summarised = &report.Summarised{Attempts: 1234, Paid: sum(7_500_000_000_001), Cost: sum(250_000_000_000), Months: []report.Month{
			{Month: "2025-08", Attempts: 1000}, {Month: "2025-09", Attempts: 234, Unexplained: sum(1)},
		}}
		for _, format := range render.Formats() {
			want := []string{"1,234 attempts", "2025-08, 2025-09", "$7.500000000001 paid", "$0.25 for nothing"}
			if format == "json" {
				want = []string{`"attempts": 1234`, `"month": "2025-08"`, `"paid_usd": "7.500000000001"`}
			}
			out := rendered(t, r, format)
			for _, w := range want {
				if !strings.Contains(strings.Join(strings.Fields(out), " "), w) {
					t.Errorf("%s, %s: no %q in\n%s", name, format, w, out)
				}
			}
			if format != "csv" {
				continue
			}
			rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
			if err != nil || len(rows) != plain || strings.Join(rows[len(rows)-1][1:], "") != "" {
				t.Errorf("%d rows after %d, the last %q, %v", len(rows), plain-1, rows[len(rows)-1], err)
			}
		}
	}
}

// Whether bills agree is said, with what they have more.
func TestBillsAreShown(t *testing.T) {
	r := reports(t)["window"]
	for state, want := range map[string][]string{
		report.StateUnexplained: {"no: 50.00 % of what was paid", "and some is unexplained; last on ", "-$0.000000000001: bypassed $2.00, on_cancel -$2.000000000001", "What bills have beyond the books"},
		report.StatePartly:      {"in part: 50.00 % of what was paid"},
		report.StateReconciled:  {"yes: the bills of all days were compared, and agree; last on "},
		report.StateNone:        {"no: no bill of these days was compared"},
	} {
		r.Bills.State = state
		for _, format := range []string{"markdown", "html"} {
			out := strings.Join(strings.Fields(rendered(t, r, format)), " ")
			for _, w := range want {
				if !strings.Contains(strings.ReplaceAll(out, "\\_", "_"), w) {
					t.Errorf("%s, %s: no %q", state, format, w)
				}
			}
		}
	}
}

// A window that the books leave open has no dash for an end.
func TestPeriod(t *testing.T) {
	day := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		since, until time.Time
		incident     *report.Incident
		want         string
	}{
		{day, day.Add(time.Hour), nil, "From 2026-11-23 00:00:00 UTC to 2026-11-23 01:00:00 UTC: calls."},
		{day, time.Time{}, nil, "From 2026-11-23 00:00:00 UTC on: calls."},
		{time.Time{}, day, nil, "Until 2026-11-23 00:00:00 UTC: calls."},
		{time.Time{}, time.Time{}, nil, "All there is: calls."},
		{day, time.Time{}, &report.Incident{State: report.Open}, "From 2026-11-23 00:00:00 UTC to now (it is open): calls."},
	} {
		r := *reports(t)["window"]
		r.Window, r.Incident = report.Window{Since: c.since, Until: c.until, Rule: "calls"}, c.incident
		out := rendered(t, &r, "markdown")
		if !strings.Contains(out, "\n"+c.want+"\n") {
			t.Errorf("no %q in\n%s", c.want, out[:min(len(out), 400)])
		}
	}
}

// What has no price doesn't look as if it had cost nothing.
func TestUnpricedIsMarked(t *testing.T) {
	r := reports(t)["window"]
	r.ByModel[1].Unpriced = 3
	model := r.ByModel[1].Key[0]
	for format, marks := range map[string]int{"markdown": 1, "html": 3, "table": 1} { // of HTML a bar has it, and its title
		out := rendered(t, r, format)
		if format == "table" && strings.Contains(out, " \n") {
			t.Error("a line of the table's ends in a blank")
		}
		if strings.Count(out, model+" †") != marks || strings.Count(out, "† Has attempts without a price") != 1 {
			t.Errorf("%s: no mark behind %s, or too many", format, model)
		}
	}
}

// A bill of some requests corrects these, and says nothing of the rest of their day.
func TestBillOfSomeRequests(t *testing.T) {
	r := reports(t)["window"]
	r.Bills = report.Bills{State: report.StatePartly, Share: "0.0000", Reconciled: report.Named{Count: 2}}
	if out := rendered(t, r, "markdown"); !strings.Contains(out, "in part: of no day the whole bill was compared; 2 attempts corrected by a bill") {
		t.Error(out)
	}
}

func TestCheck(t *testing.T) {
	if err := render.Check("pdf"); err == nil || !strings.Contains(err.Error(), `"pdf": want table, json, csv, markdown, html`) {
		t.Error(err)
	}
	if err := render.Write(io.Discard, &report.Report{}, "pdf", render.Options{}); err == nil {
		t.Error("written")
	}
	for _, f := range render.Formats() {
		if render.Check(f) != nil || render.ContentType(f) == "" {
			t.Error(f)
		}
	}
}

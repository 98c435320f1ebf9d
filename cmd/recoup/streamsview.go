package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// streamView is what is shown of a stream, as the gateway describes it.
type streamView struct {
	ID          string            `json:"id"`
	State       string            `json:"state"`
	Cause       string            `json:"cause"`
	Detail      string            `json:"detail"`
	Provider    string            `json:"provider"`
	Endpoint    string            `json:"endpoint"`
	Model       string            `json:"model"`
	Streamed    bool              `json:"streamed"`
	Reclaimable bool              `json:"reclaimable"`
	Tags        map[string]string `json:"tags"`
	Status      int               `json:"http_status"`
	RequestID   string            `json:"provider_request_id"`
	Events      uint64            `json:"events"`
	Bytes       uint64            `json:"bytes"`
	Accepted    time.Time         `json:"accepted"`
	Ended       time.Time         `json:"ended"`
	Expires     time.Time         `json:"expires"`
	Delivered   bool              `json:"delivered"`
	Connections []struct {
		Via      string `json:"via"`
		Owner    bool   `json:"owner"`
		Position uint64 `json:"position"`
	} `json:"connections"`
	Books *struct {
		Settled bool `json:"settled"`
		Input   struct {
			Tokens int64  `json:"tokens"`
			Basis  string `json:"basis"`
		} `json:"input"`
		Output struct {
			Tokens int64  `json:"tokens"`
			Basis  string `json:"basis"`
		} `json:"output"`
		Outcomes []struct {
			Outcome string `json:"outcome"`
			Cause   string `json:"cause"`
			Tokens  int64  `json:"tokens"`
		} `json:"outcomes"`
		Bill string `json:"bill_usd"`
	} `json:"books"`
}

type streamsPage struct {
	Streams    []streamView `json:"streams"`
	NextCursor string       `json:"next_cursor"`
}

// newTable is a table as all commands print it.
func newTable(header ...any) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	if len(header) > 0 {
		t.AppendHeader(header)
	}
	return t
}

// rightAligned has the columns from first to last on the right.
func rightAligned(t table.Writer, first, last int) {
	var columns []table.ColumnConfig
	for n := first; n <= last; n++ {
		columns = append(columns, table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
}

// printable is what came from outside, fit for a terminal and for a column: also what turns
// the direction of a line is left out.
func printable(s string, width int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
	if runes := []rune(s); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return s
}

func writeStreams(w io.Writer, page streamsPage) error {
	if len(page.Streams) == 0 {
		_, err := fmt.Fprintln(w, "No streams.")
		return err
	}
	t := newTable("id", "state", "age", "provider", "model", "events", "bytes", "tags")
	t.SetColumnConfigs([]table.ColumnConfig{
		{Number: 3, Align: text.AlignRight}, {Number: 6, Align: text.AlignRight}, {Number: 7, Align: text.AlignRight},
	})
	for _, s := range page.Streams {
		t.AppendRow(table.Row{s.ID, stateOf(s), age(s.Accepted), printable(s.Provider, 20), printable(s.Model, 40),
			humanize.Comma(int64(s.Events)), humanize.IBytes(s.Bytes), tagsText(s.Tags, 40)})
	}
	_, err := fmt.Fprintln(w, t.Render())
	if err == nil && page.NextCursor != "" {
		_, err = fmt.Fprintf(w, "More: --cursor %s\n", page.NextCursor)
	}
	return err
}

// stateOf is a state with why it is so, where that says more.
func stateOf(s streamView) string {
	if s.Cause == "" || s.Cause == s.State {
		return s.State
	}
	return s.State + " (" + s.Cause + ")"
}

func age(since time.Time) string {
	d := time.Since(since)
	if d < time.Minute {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func tagsText(tags map[string]string, width int) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		pairs = append(pairs, name+"="+tags[name])
	}
	return printable(strings.Join(pairs, ","), width)
}

// writeStream prints all that is known of a stream, a line for each.
func writeStream(w io.Writer, s streamView) error {
	const wide = 100
	t := newTable()
	add := func(name, value string) {
		if value != "" {
			t.AppendRow(table.Row{name, value})
		}
	}
	add("id", s.ID)
	add("state", stateOf(s))
	add("detail", printable(s.Detail, wide))
	add("provider", printable(s.Provider, wide))
	add("model", printable(s.Model, wide))
	add("endpoint", s.Endpoint)
	add("asked for", map[bool]string{true: "events", false: "one JSON body"}[s.Streamed])
	add("can be reclaimed", map[bool]string{true: "yes", false: "no"}[s.Reclaimable])
	add("tags", tagsText(s.Tags, wide))
	if s.Status > 0 {
		add("provider's status", fmt.Sprint(s.Status))
	}
	add("provider's request", printable(s.RequestID, wide))
	add("events", fmt.Sprintf("%s in %s", humanize.Comma(int64(s.Events)), humanize.IBytes(s.Bytes)))
	add("accepted", times(s.Accepted))
	add("ended", times(s.Ended))
	add("expires", times(s.Expires))
	for _, cn := range s.Connections {
		role := "observes"
		if cn.Owner {
			role = "owner"
		}
		add("connected", fmt.Sprintf("%s, via %s, at event %d", role, cn.Via, cn.Position))
	}
	add("delivered", map[bool]string{true: "yes", false: "no"}[s.Delivered])
	if b := s.Books; b != nil {
		add("input", fmt.Sprintf("%s tokens, %s", humanize.Comma(b.Input.Tokens), b.Input.Basis))
		add("output", fmt.Sprintf("%s tokens, %s", humanize.Comma(b.Output.Tokens), b.Output.Basis))
		for _, o := range b.Outcomes {
			add("  "+o.Outcome, fmt.Sprintf("%s tokens (%s)", humanize.Comma(o.Tokens), cmp.Or(o.Cause, "-")))
		}
		add("bill", "$"+b.Bill+map[bool]string{false: ", not settled yet"}[b.Settled])
	}
	_, err := fmt.Fprintln(w, t.Render())
	return err
}

func times(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

package bench

import (
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	mode := "full"
	if r.Quick {
		mode = "quick"
	}
	fmt.Fprintf(&b, "%d CPUs, %s/%s, %s; %s run, %d rounds in turns, medians, %.0f s\n",
		r.Machine.CPUs, r.Machine.OS, r.Machine.Arch, r.Machine.Go, mode, r.Rounds, r.Seconds)
	r.writeAppend(&b)
	r.writeRead(&b)
	r.writeRelay(&b)
	r.writeTargets(&b)
	fmt.Fprintf(&b, "\nverified byte by byte: %s streams, %s events, %s\n",
		humanize.Comma(r.Verified.Streams), humanize.Comma(r.Verified.Events), humanize.IBytes(uint64(r.Verified.Bytes)))
	_, err := io.WriteString(w, b.String())
	return err
}

// print writes one table. All columns but the first text ones hold numbers.
func print(b *strings.Builder, title string, texts int, header table.Row, rows []table.Row) {
	if len(rows) == 0 {
		return
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(header)
	t.AppendRows(rows)
	var columns []table.ColumnConfig
	for i := texts + 1; i <= len(header); i++ {
		columns = append(columns, table.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	fmt.Fprintf(b, "\n%s\n%s\n", title, t.Render())
}

func (r *Report) writeAppend(b *strings.Builder) {
	var rows []table.Row
	for _, a := range r.Append {
		base := func(name string) string {
			return times(medianRatio(a.rounds, r.engine(name, a.SyncWrites), func(x appendRound) float64 { return x.perSecond }))
		}
		cpu := times(medianRatio(a.rounds, r.engine(nameFile, a.SyncWrites), func(x appendRound) float64 { return x.cpu }))
		rows = append(rows, table.Row{a.Engine, onOff(a.SyncWrites), humanize.Comma(int64(a.EventsPerSecond)), base(nameFile), base(nameTxn),
			figure(a.CPUPerThousand, 2), cpu, figure(a.DiskPerByte, 2)})
	}
	print(b, "append: streams that wait for each event", 2,
		table.Row{"log", "sync", "events/s", "to file", "to txn/event", "CPU ms/1k", "to file", "disk/payload"}, rows)
}

func (r *Report) writeRead(b *strings.Builder) {
	if p := r.Replay; p != nil {
		print(b, "replay of a stored stream", 0, table.Row{"events", "streams stored", "reads", "p50 ms", "p99 ms"},
			[]table.Row{{p.Events, p.Stored, p.Reads, figure(p.P50, 2), figure(p.P99, 2)}})
	}
	var rows []table.Row
	for _, f := range r.Flat {
		rows = append(rows, table.Row{f.What, f.Cost, figure(f.Small, 4), figure(f.Large, 4), times(f.Ratio)})
	}
	print(b, "does cost grow with what is stored?", 2, table.Row{"with", "cost", "small", "large", "ratio"}, rows)
}

func (r *Report) writeRelay(b *strings.Builder) {
	var rows []table.Row
	for _, a := range r.Relay {
		proxy := r.relayed(a.Load, nameProxy).rounds
		row := table.Row{a.Load, a.Target, humanize.Comma(int64(a.EventsPerSecond)),
			times(medianRatio(a.rounds, proxy, func(x relayRound) float64 { return x.perSecond })), notThere, notThere, notThere, notThere, notThere}
		if a.CPUPerThousand > 0 {
			row[4] = figure(a.CPUPerThousand, 2)
			row[5] = times(medianRatio(a.rounds, proxy, func(x relayRound) float64 { return x.cpu }))
		}
		if a.P50 > 0 {
			row[6] = figure(a.P50, 2) + " / " + figure(a.P99, 2)
			if a.Target != nameDirect {
				row[7], row[8] = figure(a.AddedP50, 2), figure(a.AddedP99, 2)
			}
		}
		rows = append(rows, row)
	}
	print(b, "relay", 2, table.Row{"load", "through", "events/s", "to proxy", "CPU ms/1k", "to proxy", "p50 / p99 ms", "added p50", "added p99"}, rows)
	rows = nil
	for _, a := range r.Books {
		rows = append(rows, table.Row{a.Target, humanize.Comma(int64(a.EventsPerSecond)), figure(a.CPUPerThousand, 2),
			times(medianRatio(a.rounds, r.Books[0].rounds, func(x relayRound) float64 { return x.cpu }))})
	}
	print(b, "whole answers at the speed of a model, settled", 1, table.Row{"gateway", "events/s", "CPU ms/1k", "to none"}, rows)
	rows = nil
	for _, i := range r.Idle {
		rows = append(rows, table.Row{i.Target, i.Streams, figure(i.RSS, 1), figure(i.Anonymous, 1), figure(i.Base, 0)})
	}
	print(b, "open streams that wait for their provider", 1, table.Row{"through", "streams", "RSS KiB each", "anonymous KiB", "RSS MiB before"}, rows)
}

func (r *Report) writeTargets(b *strings.Builder) {
	var rows []table.Row
	for _, t := range r.Targets {
		limit := "≥ " + figure(t.AtLeast, 2)
		if t.AtMost > 0 {
			limit = "≤ " + figure(t.AtMost, 2)
		}
		verdict, measured := "ok", figure(t.Measured, 2)
		switch {
		case !t.Known:
			verdict, measured = notThere, notThere
		case !t.OK:
			verdict = "missed"
		}
		rows = append(rows, table.Row{t.What, measured, limit, t.Unit, verdict})
	}
	print(b, "targets", 1, table.Row{"what", "measured", "target", "unit", ""}, rows)
}

const notThere = "n/a"

func figure(v float64, digits int) string { return fmt.Sprintf("%.*f", digits, v) }

func times(v float64) string {
	if v == 0 {
		return notThere
	}
	return fmt.Sprintf("%.2f ×", v)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

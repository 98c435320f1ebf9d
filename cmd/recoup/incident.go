package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/audit/report"
)

// incidentFlags are those that all commands below incident have.
type incidentFlags struct {
	program  *program
	operator operator
	format   string
}

func (p *program) incidentCommand() *cobra.Command {
	f := &incidentFlags{program: p}
	c := &cobra.Command{
		Use:   "incident",
		Short: "Declare an incident, close it, list and show them",
		Long: `Declare an incident, close it, list and show them. What an incident cost is that of
the calls whose answers were broken off in it: recoup audit --incident NUMBER.

The gateway also finds incidents by itself, by answers that break off together.`,
	}
	f.operator.flags(c)
	formatFlag(c, &f.format)
	c.AddCommand(f.openCommand(), f.closeCommand(), f.listCommand(), f.showCommand())
	return c
}

const incidentsPath = "/api/v1/incidents"

func (f *incidentFlags) connect() (*remote, error) {
	if err := checkFormat(f.format); err != nil {
		return nil, err
	}
	return f.program.operatorRemote(f.operator)
}

func (f *incidentFlags) openCommand() *cobra.Command {
	var (
		d          audit.Declared
		labels     []string
		since, end string
	)
	c := &cobra.Command{
		Use:   "open NAME",
		Short: "Declare an incident that begins now, or began at --since",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			r, err := f.connect()
			if err != nil {
				return err
			}
			d.Name, d.Labels = args[0], map[string]string{}
			for _, pair := range labels {
				name, v, ok := strings.Cut(pair, "=")
				if !ok {
					return fmt.Errorf("--label: %q: want name=value", pair)
				}
				d.Labels[name] = v
			}
			if d.Start, err = report.ParseTime(since, time.Now()); err != nil {
				return fmt.Errorf("--since: %w", err)
			}
			if d.End, err = report.ParseTime(end, time.Now()); err != nil {
				return fmt.Errorf("--until: %w", err)
			}
			return f.ask(c, r, http.MethodPost, incidentsPath, d)
		},
	}
	c.Flags().StringArrayVar(&labels, "label", nil, "`name=value` that it has; repeatable")
	c.Flags().StringVar(&since, "since", "", "`time` at which it began (default: now)")
	c.Flags().StringVar(&end, "until", "", "`time` at which it ended (default: it goes on)")
	c.Flags().StringVar(&d.Kind, "kind", "", "likely `cause`: client_deploy, provider_failure, gateway_restart, network")
	return c
}

func (f *incidentFlags) closeCommand() *cobra.Command {
	var end string
	c := &cobra.Command{
		Use:   "close NUMBER|NAME",
		Short: "End an incident, now or at --until",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := f.connect()
			if err != nil {
				return err
			}
			number, err := f.number(c, r, args[0])
			if err != nil {
				return err
			}
			closed := audit.Closed{}
			if closed.End, err = report.ParseTime(end, time.Now()); err != nil {
				return fmt.Errorf("--until: %w", err)
			}
			return f.ask(c, r, http.MethodPost, incidentsPath+"/"+number+"/close", closed)
		},
	}
	c.Flags().StringVar(&end, "until", "", "`time` at which it ended (default: now)")
	return c
}

func (f *incidentFlags) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the incidents",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := f.connect()
			if err != nil {
				return err
			}
			all, data, err := f.list(c, r)
			if err != nil {
				return err
			}
			if f.format == formatJSON {
				return writeIndented(c.OutOrStdout(), data)
			}
			return writeIncidents(c.OutOrStdout(), all)
		},
	}
}

func (f *incidentFlags) list(c *cobra.Command, r *remote) ([]report.Incident, json.RawMessage, error) {
	var list struct{ Incidents []report.Incident }
	data, err := r.ask(c.Context(), http.MethodGet, incidentsPath, nil, &list)
	return list.Incidents, data, err
}

func (f *incidentFlags) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show NUMBER|NAME",
		Short: "Show an incident",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := f.connect()
			if err != nil {
				return err
			}
			number, err := f.number(c, r, args[0])
			if err != nil {
				return err
			}
			return f.ask(c, r, http.MethodGet, incidentsPath+"/"+number, nil)
		},
	}
}

// number is that of an incident that a user names: by its number, else the newest of
// that name, which may have digits alone, as those of tickets.
func (f *incidentFlags) number(c *cobra.Command, r *remote, named string) (string, error) {
	all, _, err := f.list(c, r)
	if err != nil {
		return "", err
	}
	newest := 0
	for _, i := range all {
		if fmt.Sprint(i.Number) == named {
			return named, nil
		}
		if i.Name == named {
			newest = i.Number
		}
	}
	if newest == 0 {
		return "", fmt.Errorf("there is no incident %q: recoup incident list has them", named)
	}
	return fmt.Sprint(newest), nil
}

// ask asks about one incident, and shows it.
func (f *incidentFlags) ask(c *cobra.Command, r *remote, method, path string, in any) error {
	var i report.Incident
	data, err := r.ask(c.Context(), method, path, in, &i)
	if err != nil {
		return err
	}
	if f.format == formatJSON {
		return writeIndented(c.OutOrStdout(), data)
	}
	return writeIncidents(c.OutOrStdout(), []report.Incident{i})
}

func writeIncidents(w io.Writer, all []report.Incident) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "No incidents. recoup incident open NAME declares one.")
		return err
	}
	t := newTable("number", "name", "how", "state", "start (UTC)", "end (UTC)", "likely cause", "why, labels")
	for _, i := range all {
		how := "declared"
		if i.Found {
			how = "found"
		}
		t.AppendRow(table.Row{
			i.Number, printable(i.Name, 40), how, i.State, inUTC(i.Start), inUTC(i.End), printable(strings.TrimSpace(i.Kind+" "+i.Provider), 40),
			printable(strings.TrimSpace(i.Why+" "+tagsText(i.Labels, 60)), 100),
		})
	}
	_, err := fmt.Fprintln(w, t.Render())
	return err
}

// inUTC is a time as audits have it, and as --since and --until take it.
func inUTC(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05.999")
}

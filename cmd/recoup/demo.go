package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/internal/bench"
	"github.com/recoup-gateway/recoup/internal/demo"
)

// demoGateway is the hidden subcommand as which the demo runs its gateway.
const demoGateway = "gateway"

type demoFlags struct {
	options demo.Options
	once    bool
	format  string
}

func newDemoCommand() *cobra.Command { return newDemoCommandWith(demo.Options{}) }

// newDemoCommandWith is the command, with what no flag can say.
func newDemoCommandWith(o demo.Options) *cobra.Command {
	f := demoFlags{options: o}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show 24 agents through a deploy and a crash, and what it cost, checked against a bill",
		Long: `Show 24 agents through a deploy and a crash, and what it cost, checked against a bill.

No keys and no network are needed: a simulated provider in this process, the
gateway in a process of its own, on free loopback ports. A deploy cuts two thirds
of the agents off in mid-answer; most come back. Then the gateway is killed under
the last of them and started again. At the end: what was paid, what of it nobody
could use, what resumes saved, and whether the books agree with the provider's bill.

The same --seed repeats who is cut where and all figures after the reconciliation.
Ids and times differ, and so do estimates made before the bill was seen (and with
them what the missed call cost): the gateway learns from answers as they end.

With --once it exits with 0 only if the books balance, every attempt that the
provider reported equals its bill to the token, every estimate held its bounds, and
nothing is unexplained; else with 1, and names the attempt. Without, it stays up
until Ctrl-C.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.BoolVar(&f.once, "once", false, "exit after the table")
	fs.Uint64Var(&f.options.Seed, "seed", 1, "`number` that says who is cut where")
	fs.StringVar(&f.options.DataDir, "data-dir", "", "empty `directory` for the gateway's data, which is kept; else a temporary one")
	fs.StringVar(&f.format, "format", "table", "table or json: one object, and nothing else on standard output")
	c.AddCommand(newDemoGatewayCommand(), newTrafficCommand())
	return c
}

func (f *demoFlags) run(c *cobra.Command) (err error) {
	if f.format != "table" && f.format != "json" {
		return fmt.Errorf("--format: %q is none of table, json", f.format)
	}
	if f.options.Serve == nil {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("demo: the path of this program, to run it as the gateway: %w", err)
		}
		f.options.Serve = func(args ...string) *exec.Cmd {
			cmd := exec.Command(self, append([]string{"demo", demoGateway, "--"}, args...)...)
			cmd.Env = withoutSettings(os.Environ())
			return cmd
		}
	}
	f.options.Progress, f.options.Live = c.ErrOrStderr(), isTerminal(c.ErrOrStderr())
	ctx, stop := untilSignal(c.Context())
	defer stop()
	d, err := demo.Run(ctx, f.options)
	if err != nil {
		return err
	}
	defer func() {
		if e := d.Close(); e != nil {
			err = errors.Join(err, fmt.Errorf("demo: %w", e))
		}
	}()
	if err := f.print(c.OutOrStdout(), d); err != nil {
		return err
	}
	if !f.once {
		if err := stayUp(ctx, c, d); err != nil {
			return err
		}
	}
	if err := d.Report.Verdict(); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}

func (f *demoFlags) print(w io.Writer, d *demo.Demo) error {
	if f.format == "json" {
		return d.Report.WriteJSON(w)
	}
	return d.Report.WriteTable(w, inColour(w))
}

// stayUp says where everything is, and waits for Ctrl-C.
func stayUp(ctx context.Context, c *cobra.Command, d *demo.Demo) error {
	c.PrintErrf(`
It stays up until Ctrl-C.
  gateway    %s   with any key; data in %s
  console    %s/console/
  metrics    %s/metrics
  the audit  %s/api/v1/audit
  the provider's own bill  %s/simulator/bill
`, d.Data, d.DataDir, d.Admin, d.Admin, d.Admin, d.Provider)
	return d.Wait(ctx)
}

// newDemoGatewayCommand is recoup serve, but that it ends with its standard input,
// so that it doesn't outlive the demo, and not by the Ctrl-C that is meant for that.
func newDemoGatewayCommand() *cobra.Command {
	return &cobra.Command{
		Use:    demoGateway + " -- [flags of serve]",
		Short:  "Be the gateway of the demo",
		Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			signal.Ignore(os.Interrupt)
			ctx, cancel := bench.UntilEOF(c.Context(), c.InOrStdin())
			defer cancel()
			p := program{environ: os.Environ(), stdout: c.OutOrStdout(), stderr: c.ErrOrStderr(), signals: make(chan os.Signal)}
			if code := p.run(ctx, append([]string{"serve"}, args...)); code != 0 {
				return errors.New("the gateway failed")
			}
			return nil
		},
	}
}

// untilSignal is for commands that clean up after themselves: ctx ends with
// whatever would have ended the process. A closed pipe at its output doesn't end it
// as a signal either: the write fails, and the command with it. A signal would also
// come when a peer leaves in the middle of a write, which is what agents do here.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	signal.Ignore(syscall.SIGPIPE)
	return signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
}

// isTerminal reports whether w is a terminal that understands escape sequences.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb"
}

// inColour reports whether w is a terminal whose user wants colours.
func inColour(w io.Writer) bool { return isTerminal(w) && os.Getenv("NO_COLOR") == "" }

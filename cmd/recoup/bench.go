package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/internal/bench"
)

// benchChild is the hidden subcommand as which bench runs its children.
const benchChild = "child"

type benchFlags struct {
	options bench.Options
	format  string
	strict  bool
	quiet   bool
}

func newBenchCommand() *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure this program on this machine against what it is compared with",
		Long: `Measure this program on this machine against what it is compared with.

A simulated provider, a plain reverse proxy and the gateway run as processes of
their own and are driven in turns, and the log is measured against a plain file
and simpler uses of its database. All bytes are checked on the way. Nothing
leaves the machine, and nothing stays on it.

It exits with 0 if all bytes were right, whatever the figures say; with --strict
only if no target was missed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.BoolVar(&f.options.Quick, "quick", false, "about a minute instead of about ten; the figures vary more")
	fs.StringSliceVar(&f.options.Only, "only", nil, "parts to run, of "+strings.Join(bench.Parts(), ","))
	fs.IntVar(&f.options.Rounds, "rounds", 0, "rounds in which the competitors take turns; 0 is 5, with --quick 3")
	fs.StringVar(&f.format, "format", "table", "table or json")
	fs.BoolVar(&f.strict, "strict", false, "fail if a target is missed")
	fs.BoolVar(&f.quiet, "quiet", false, "no progress on standard error")
	fs.StringVar(&f.options.ProfileDir, "profile", "", "existing directory for CPU profiles of the gateway")
	c.AddCommand(newBenchChildCommand())
	return c
}

func (f *benchFlags) run(c *cobra.Command) error {
	if f.format != "table" && f.format != "json" {
		return fmt.Errorf("--format: %q is none of table, json", f.format)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("bench: the path of this program, to run it as provider, proxy and gateway: %w", err)
	}
	f.options.Command = func(role string, args ...string) *exec.Cmd {
		cmd := exec.Command(self, append([]string{"bench", benchChild, role}, args...)...)
		cmd.Env = withoutSettings(os.Environ())
		return cmd
	}
	if !f.quiet {
		f.options.Progress = func(format string, args ...any) { c.PrintErrf(format+"\n", args...) }
	}
	ctx, stop := untilSignal(c.Context())
	defer stop()
	report, err := bench.Run(ctx, f.options)
	if err != nil {
		return err
	}
	write := report.WriteTable
	if f.format == "json" {
		write = report.WriteJSON
	}
	if err := write(c.OutOrStdout()); err != nil {
		return err
	}
	if missed := report.Missed(); f.strict && len(missed) > 0 {
		return fmt.Errorf("bench: %d targets missed", len(missed))
	}
	return nil
}

// withoutSettings keeps what configures the user's gateway away from ours.
func withoutSettings(environ []string) []string {
	return slices.DeleteFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, "RECOUP_") })
}

func newBenchChildCommand() *cobra.Command {
	return &cobra.Command{
		Use:    benchChild + " role [arguments]",
		Short:  "A process that is measured; ends with its standard input",
		Hidden: true,
		Args:   cobra.RangeArgs(1, 3),
		RunE: func(c *cobra.Command, args []string) error {
			// Ctrl-C goes to all processes of a terminal; these are ended in
			// order by their parent.
			signal.Ignore(os.Interrupt)
			ctx, cancel := bench.UntilEOF(c.Context(), c.InOrStdin())
			defer cancel()
			switch {
			case args[0] == bench.RoleProvider && len(args) == 1:
				return bench.RunProvider(ctx, c.ErrOrStderr())
			case args[0] == bench.RoleProxy && len(args) == 2:
				return bench.RunProxy(ctx, c.ErrOrStderr(), args[1])
			case (args[0] == bench.RoleGateway || args[0] == bench.RoleUnbooked) && len(args) == 3:
				p := program{unbooked: args[0] == bench.RoleUnbooked}
				return p.serveForBench(ctx, c, args[1], args[2])
			}
			return fmt.Errorf("no such role: %q", args)
		},
	}
}

// serveForBench is recoup serve as a user runs it, but for its addresses and
// the form of its log, in which the parent finds them.
func (p program) serveForBench(ctx context.Context, c *cobra.Command, provider, dir string) error {
	p.environ, p.stdout, p.stderr, p.signals = os.Environ(), c.OutOrStdout(), c.ErrOrStderr(), make(chan os.Signal)
	code := p.run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir", dir,
		"--provider", "openai=" + provider, "--drain-timeout", "1s", "--log-format", "json", "--pprof"})
	if code != 0 {
		return errors.New("the gateway failed")
	}
	return nil
}

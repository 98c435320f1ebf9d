// Command recoup runs the Recoup gateway: flags, configuration, signals and
// wiring, no logic.
//
// It exits with 0, with 1 if something failed, and with 2 if it was called or
// configured wrongly; streams tail has codes of its own. What went wrong is on
// standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/cmd/recoup/internal/config"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	p := program{environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.run(context.Background(), os.Args[1:]))
}

// program is a run of the command with what it gets from its process, so that a
// test can be that process.
type program struct {
	environ        []string
	stdin          io.Reader // nil: that of the process
	stdout, stderr io.Writer
	signals        <-chan os.Signal // for serve; nil: those that the process gets

	now func() time.Time // nil: time.Now

	unbooked bool // keep no books: for a measurement of what they cost

	began bool // the arguments were understood
}

// getenv is os.Getenv of the environment that the program was given.
func (p *program) getenv(name string) string {
	for _, kv := range slices.Backward(p.environ) {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

func (p *program) clock() time.Time {
	if p.now != nil {
		return p.now()
	}
	return time.Now()
}

// run returns the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	root := p.rootCommand()
	root.SetArgs(args)
	if p.stdin != nil {
		root.SetIn(p.stdin)
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if refused := (*config.Error)(nil); errors.As(err, &refused) {
		fmt.Fprintf(p.stderr, "recoup: the configuration is refused\n%s", refused.Report())
		return exitUsage
	}
	fmt.Fprintf(p.stderr, "recoup: %v\n", err)
	if !p.began {
		return exitUsage
	}
	if own := (*exitCode)(nil); errors.As(err, &own) {
		return own.code
	}
	return exitFailed
}

func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "recoup",
		Short:         "An endpoint between agents and LLM providers that keeps answers whose client died",
		SilenceErrors: true, // run prints them
		SilenceUsage:  true,
		Version:       version(),
		// Runs when flags and arguments have been understood. A command that
		// has its own must set began too.
		PersistentPreRun: func(*cobra.Command, []string) { p.began = true },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return config.FlagError(c.Flags(), err) })
	root.AddCommand(
		p.serveCommand(),
		p.readyCommand(),
		p.streamsCommand(),
		p.keysCommand(),
		p.auditCommand(),
		p.reconcileCommand(),
		p.incidentCommand(),
		p.doctorCommand(),
		p.verifyCommand(),
		p.backupCommand(),
		p.restoreCommand(),
		p.exportCommand(),
		versionCommand(),
		newBenchCommand(),
		newDashboardsCommand(),
		newDemoCommand(),
		p.pricesCommand(),
		newSimulateCommand(),
	)
	checkArgs(root)
	return root
}

// checkArgs has each command say how it is called when its arguments are not that, and a
// command that is only a group refuse what it doesn't have: it would print its help and
// exit with 0, and a pipeline not see its slip.
func checkArgs(group *cobra.Command) {
	for _, c := range group.Commands() {
		checkArgs(c)
		check, want := c.Args, c.UseLine()
		if !c.Runnable() {
			check, want = cobra.NoArgs, commandNames(c)
			c.DisableFlagsInUseLine = true
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		}
		if check == nil {
			continue
		}
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return fmt.Errorf("%w: want %s", err, want)
			}
			return nil
		}
	}
}

func commandNames(group *cobra.Command) string {
	var names []string
	for _, c := range group.Commands() {
		names = append(names, c.Name())
	}
	return strings.Join(names, ", ")
}

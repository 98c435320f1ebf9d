package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/internal/demo"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
)

const (
	agentCommand  = "agent"
	demoRetention = 15 * time.Minute
)

func newDemoCommand() *cobra.Command {
	var once bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show an agent that is killed in mid-answer and comes back to the same answer",
		Long: `Show an agent that is killed in mid-answer and comes back to the same answer.

No keys and no network are needed: a simulated provider and the gateway run in
this process, on free loopback ports and a temporary data directory. What is
shown is checked: the bytes read are those that the provider sent, and the
provider was called once. Then all stays up, with lines for curl to try.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := untilSignal(c.Context())
			defer stop()
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("demo: the path of this program, to start agents with: %w", err)
			}
			logger := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			return demo.Run(ctx, demo.Options{
				Open:   func(dir string, cfg gateway.Config) (*demo.Gateway, error) { return openForDemo(dir, cfg, logger) },
				Agent:  []string{self, "demo", agentCommand},
				Out:    c.OutOrStdout(),
				Colour: inColour(c.OutOrStdout()),
				Once:   once,
			})
		},
	}
	c.Flags().BoolVar(&once, "once", false, "exit when all was shown: with 0 only if it was as claimed")
	c.AddCommand(&cobra.Command{
		Use:    agentCommand + " METHOD URL KEY",
		Short:  "Be an agent of the demo",
		Hidden: true,
		Args:   cobra.ExactArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			// A terminal sends Ctrl-C to all its processes. This one is ended by
			// the demo, which would otherwise see an agent that died by itself.
			signal.Ignore(os.Interrupt)
			return demo.Agent(c.Context(), args, c.OutOrStdout())
		},
	})
	return c
}

// untilSignal is for commands that clean up after themselves: ctx ends with
// whatever would have ended the process, a closed pipe at its output included.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
}

// inColour reports whether w is a terminal whose user wants colours.
func inColour(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd()) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// openForDemo puts a gateway together as serve does, without what only a
// data directory that lasts needs.
func openForDemo(dir string, c gateway.Config, logger *slog.Logger) (*demo.Gateway, error) {
	registry := prometheus.NewRegistry()
	var log *streamlog.Log
	m := metrics.New(registry, version(), func() metrics.Log {
		st := log.Stats()
		return metrics.Log{QueuedBytes: st.QueuedBytes, DiskBytes: st.DiskBytes}
	})
	log, err := streamlog.Open(dir, streamlog.Options{
		Retention: demoRetention,
		Logger:    logger,
		OnCommit: func(c streamlog.Commit) {
			m.CommitSeconds.Observe(c.Duration.Seconds())
			m.CommitEvents.Observe(float64(c.Events))
		},
	})
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	g, err := gateway.New(gateway.Options{Config: c, Log: log, Metrics: m, Logger: logger, Secret: secret})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return &demo.Gateway{
		Data:  g.Handler(),
		Admin: g.Admin(gateway.AdminOptions{Gatherer: registry}),
		Drain: g.Drain,
		Close: log.Close,
	}, nil
}

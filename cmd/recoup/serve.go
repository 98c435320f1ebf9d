package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/cmd/recoup/internal/config"
)

func (p *program) serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Long: `Run the gateway until SIGTERM or SIGINT.

It works without any flag. Each setting can also be given in the environment
(--data-dir is RECOUP_DATA_DIR) or in a file (data_dir). Flags beat the
environment, the environment beats the file.

SIGHUP reads the configuration again. SIGTERM and SIGINT refuse new calls and
wait for the running ones, drain_timeout at most; a second one ends them at once.`,
		Args: cobra.NoArgs,
	}
	c.Flags().SortFlags = false
	loader := config.NewLoader(c.Flags(), p.environ)
	c.RunE = func(c *cobra.Command, _ []string) error {
		signals, stop := p.notify()
		defer stop()
		settings, err := loader.Load()
		if err != nil {
			return err
		}
		return p.serve(c.Context(), settings, loader, signals)
	}
	return c
}

// notify returns the signals that serve listens to.
func (p *program) notify() (<-chan os.Signal, func()) {
	if p.signals != nil {
		return p.signals, func() {}
	}
	// Two of a kind may come before the first is handled.
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// serve runs the gateway until a signal or the end of ctx.
func (p *program) serve(ctx context.Context, settings *config.Settings, loader *config.Loader, signals <-chan os.Signal) error {
	level := new(slog.LevelVar)
	level.Set(settings.LogLevel)
	logger := p.logger(settings.LogFormat, level)
	for _, w := range settings.Warnings {
		logger.Warn("configuration", "warning", w)
	}
	s, err := p.start(settings, logger)
	if err != nil {
		return err
	}
	reload := reloader{server: s, loader: loader, level: level, started: settings, current: settings, logger: logger}
	for {
		select {
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				reload.reload()
				continue
			}
			logger.Info("stopping", "signal", sig.String(), "drain_timeout", reload.current.DrainTimeout.String())
			return s.stop(reload.current.DrainTimeout, signals)
		case <-ctx.Done():
			logger.Info("stopping", "cause", context.Cause(ctx), "drain_timeout", reload.current.DrainTimeout.String())
			return s.stop(reload.current.DrainTimeout, signals)
		case err := <-s.failed:
			logger.Error("a listener failed, stopping", "error", err)
			return firstError(err, s.stop(reload.current.DrainTimeout, signals))
		}
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *program) logger(format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(p.stderr, o))
	}
	return slog.New(slog.NewTextHandler(p.stderr, o))
}

package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// hasLedger refuses a directory that has no books, before anything would make some.
func hasLedger(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "ledger")); err != nil {
		return fmt.Errorf("--data-dir: %s has no ledger: want the directory of a gateway (%w)", dir, err)
	}
	return nil
}

// quiet is a logger for what a command opens: only what matters to who runs it.
func (p *program) quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

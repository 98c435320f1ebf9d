package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/recoup-gateway/recoup/internal/ledger"
)

// hasLedger refuses a directory that has no books, before anything would make some.
func hasLedger(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "ledger")); err != nil {
		return fmt.Errorf("--data-dir: %s has no ledger: want the directory of a gateway (%w)", dir, err)
	}
	return nil
}

// hasData refuses a directory in which no gateway ever was: of nothing, nothing is
// proved, and it may be the wrong one, or not mounted.
func hasData(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	for _, name := range []string{"log", "ledger", secretName} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	return fmt.Errorf("--data-dir: %s has neither books nor a log: want the directory of a gateway", dir)
}

// quiet is a logger for what a command opens: only what matters to who runs it.
func (p *program) quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// openBooks opens the books in a directory, to post into them, which nobody else may have
// then, or to read.
func (p *program) openBooks(ctx context.Context, dir string, post bool) (*ledger.Ledger, error) {
	if !post {
		return p.openForReading(ctx, dir)
	}
	if err := hasLedger(dir); err != nil {
		return nil, err
	}
	return ledger.Open(dir, ledger.Options{Logger: p.quiet()})
}

// openForReading opens the books in a directory, whoever has them: in use, or where
// nothing can be written, it reads a copy.
func (p *program) openForReading(ctx context.Context, dir string) (*ledger.Ledger, error) {
	if err := hasLedger(dir); err != nil {
		return nil, err
	}
	o := ledger.Options{Logger: p.quiet()}
	books, err := ledger.OpenReadOnly(dir, o)
	if errors.Is(err, ledger.ErrLocked) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		books, _, err = ledger.OpenCopy(ctx, dir, "", o)
	}
	return books, err
}

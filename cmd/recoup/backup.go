package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/internal/ledger"
)

func (p *program) backupCommand() *cobra.Command {
	var op operator
	var dir, scratch string
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the books to a file, while the gateway runs or from its data directory",
		Long: `Copy the books to FILE, as they are at one moment: those of the running gateway,
which it is asked for on its admin plane, or with --data-dir those in a directory, which
may be in use, read-only, or left by a process that was killed.

FILE may be a directory, in which the file is named after the time and the last entry,
or -, which is standard output. The file appears once it is whole, and was read back.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := untilSignal(c.Context())
			defer cancel()
			from := func(w io.Writer) error { return p.backupOf(ctx, op, w) }
			if dir != "" {
				from = func(w io.Writer) error { return backupDir(ctx, dir, scratch, w) }
			}
			if args[0] == "-" {
				return from(c.OutOrStdout())
			}
			path, size, head, err := writeBackup(args[0], from)
			if err != nil {
				return fmt.Errorf("backup: %w", err)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s, %s: the books up to %s\n", path, humanize.IBytes(uint64(size)), head)
			return err
		},
	}
	op.flags(c)
	c.Flags().StringVar(&dir, "data-dir", "", "`directory` to read, instead of a running gateway")
	c.Flags().StringVar(&scratch, "scratch", "", "`directory` for a copy of it (default: that for temporary files)")
	return c
}

// backupOf asks the gateway.
func (p *program) backupOf(ctx context.Context, op operator, w io.Writer) error {
	r, err := p.operatorRemote(op)
	if err != nil {
		return err
	}
	resp, err := r.do(ctx, http.MethodGet, "/api/v1/backup", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("the gateway broke it off, its log says why: %w", err)
	}
	return nil
}

// backupDir reads a data directory.
func backupDir(ctx context.Context, dir, scratch string, w io.Writer) error {
	l, c, err := ledger.OpenCopy(ctx, dir, scratch, ledger.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	for _, d := range c.Damages {
		if err == nil {
			err = fmt.Errorf("%w: %s: recoup verify says more", ledger.ErrDamaged, d)
		}
	}
	if err == nil {
		_, err = l.Backup(ctx, w)
	}
	return errors.Join(err, l.Close())
}

// writeBackup writes a file beside its place, reads it back, and moves it there.
func writeBackup(path string, from func(io.Writer) error) (at string, size int64, head ledger.Head, err error) {
	inDir := false
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		inDir = true
	}
	dir := filepath.Dir(path)
	if inDir {
		dir = path
	}
	f, err := os.CreateTemp(dir, ".recoup-books-*.tmp") // mode 0600
	if err != nil {
		return "", 0, head, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err = from(f); err == nil {
		err = f.Sync()
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		head, err = ledger.CheckBackup(f)
	}
	if err == nil {
		size, err = f.Seek(0, io.SeekEnd)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", 0, head, err
	}
	if inDir {
		path = filepath.Join(dir, fmt.Sprintf("recoup-books-%s-%d.backup", time.Now().UTC().Format("20060102T150405Z"), head.Seq))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return "", 0, head, err
	}
	return path, size, head, syncDir(dir)
}

func (p *program) restoreCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "restore FILE --data-dir DIR",
		Short: "Make a data directory of a backup of the books",
		Long: `Make a data directory with the books that recoup backup has copied to FILE; - is
standard input. DIR must be empty, or not exist.

All of the backup is verified, and derived from it what is looked up and counted, before
the directory is one that a gateway would open. A backup that is cut or changed is
refused, with the byte, and nothing is left.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := untilSignal(c.Context())
			defer cancel()
			in := c.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("restore: %w", err)
				}
				defer f.Close()
				in = f
			}
			r, err := ledger.Restore(ctx, in, dir, ledger.Options{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				return fmt.Errorf("restore: %w", err)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %s of %s, verified up to %s\n", dir, count(int64(r.Entries), "entry"), count(int64(r.Attempts), "attempt"), r.Head)
			return err
		},
	}
	c.Flags().StringVar(&dir, "data-dir", "", "`directory` to make")
	_ = c.MarkFlagRequired("data-dir")
	return c
}

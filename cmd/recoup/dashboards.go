package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/dashboards"
)

func newDashboardsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "dashboards directory",
		Short: "Write the Grafana dashboards and Prometheus rules of this version to a directory",
		Long: `Write the Grafana dashboards and Prometheus rules of this version to a directory.

What is there already is not overwritten: give a new directory, and compare. Of what
belongs where, docs/dashboards.md and docs/runbooks/README.md tell.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			for _, files := range []embed.FS{dashboards.Grafana, dashboards.Prometheus, dashboards.Provisioning} {
				if err := writeAll(c, args[0], files); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// writeAll writes files below dir, and says which.
func writeAll(c *cobra.Command, dir string, files embed.FS) error {
	err := os.CopyFS(dir, files)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("dashboards: %w: choose a new directory", err)
	}
	if err != nil {
		return fmt.Errorf("dashboards: %w", err)
	}
	return fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			c.Println(path)
		}
		return err
	})
}

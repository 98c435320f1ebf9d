package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/cmd/recoup/internal/config"
	"github.com/recoup-gateway/recoup/pricing"
)

func (f *pricesFlags) lintCommand() *cobra.Command {
	var strict bool
	c := &cobra.Command{
		Use:   "lint FILE…",
		Short: "Check files with prices, as the gateway would at its start",
		Long: `Check files with prices: each is read, and laid over the program's book and those before
it, as the gateway would at its start. What is wrong is named with its line and what was
expected. The exit code is 1 if a file would be refused; warnings are of what is allowed
and may not be what was meant, and are 0 without --strict.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, paths []string) error { return lintPrices(c.OutOrStdout(), paths, strict) },
	}
	c.Flags().BoolVar(&strict, "strict", false, "warnings count as errors")
	return c
}

func lintPrices(w io.Writer, paths []string, strict bool) error {
	book, err := config.ReadPrices(pricing.Embedded(), paths...)
	if refused := (*config.Error)(nil); errors.As(err, &refused) {
		if _, err := io.WriteString(w, refused.Report()); err != nil {
			return err
		}
		return &exitCode{exitFailed, fmt.Errorf("prices: refused (problems: %d)", len(refused.Problems))}
	} else if err != nil {
		return err
	}
	warnings := book.Warnings()
	for _, text := range warnings {
		if _, err := fmt.Fprintf(w, "%s (warning)\n", text); err != nil {
			return err
		}
	}
	rows := 0
	for _, row := range book.Rows("") {
		if row.Origin.File != "" {
			rows++
		}
	}
	if _, err := fmt.Fprintf(w, "%s, %s; the price book would be %s\n", count(int64(rows), "price"), count(int64(len(warnings)), "warning"), book.Version()); err != nil {
		return err
	}
	if strict && len(warnings) > 0 {
		return fmt.Errorf("prices: %s", count(int64(len(warnings)), "warning"))
	}
	return nil
}

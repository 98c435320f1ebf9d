package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/pricing"
	"github.com/recoup-gateway/recoup/pricing/litellm"
)

func (f *pricesFlags) importCommand() *cobra.Command {
	var providers []string
	var known, status string
	var all bool
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Make a file with prices of LiteLLM's table, of which you have a copy",
		Long: `Make a file with prices of LiteLLM's table (model_prices_and_context_window.json), of which
you have a copy; - is standard input. The prices are on standard output. What a price book
can't express is named on standard error, with the reason and the models, and never guessed.

    recoup prices import model_prices_and_context_window.json > litellm.yaml
    recoup prices diff litellm.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o := litellm.Options{Book: pricing.Embedded(), Providers: litellm.DefaultProviders(), Status: pricing.Status(status)}
			var err error
			if o.KnownFrom, err = moment("known-from", known); err != nil {
				return err
			}
			for _, pair := range providers {
				theirs, ours, ok := strings.Cut(pair, "=")
				if !ok || theirs == "" || ours == "" {
					return fmt.Errorf("--provider: %q: want LiteLLM's name and the gateway's, such as azure=azure-eu", pair)
				}
				o.Providers[theirs] = ours
			}
			most := 8
			if all {
				most = math.MaxInt
			}
			return importPrices(c, args[0], o, most)
		},
	}
	c.Flags().StringArrayVar(&providers, "provider", nil, "take the models of a provider of LiteLLM's, for one of the gateway's: `theirs=ours` (repeatable)")
	c.Flags().StringVar(&known, "known-from", time.Now().UTC().Format(time.DateOnly), "the `day` of the table, which has no dates")
	c.Flags().Lookup("known-from").DefValue = "today"
	c.Flags().StringVar(&status, "status", string(pricing.List), "status of the prices: list, promo, negotiated, placeholder")
	c.Flags().BoolVar(&all, "verbose", false, "name all models that are left out, not only the first of each reason")
	return c
}

func importPrices(c *cobra.Command, path string, o litellm.Options, most int) error {
	in, closeIn, err := openInput(c, path)
	if err != nil {
		return err
	}
	defer closeIn()
	table, err := litellm.Convert(in, o)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	// What the gateway would refuse is not handed out.
	out := table.YAML(o)
	overlay, err := pricing.ParseOverlay("the import", out)
	if err == nil && table.Models() > 0 {
		_, err = o.Book.Over(overlay)
	}
	if err != nil {
		return fmt.Errorf("%s: what was made of it is refused: %w", path, err)
	}
	for _, left := range table.Left {
		fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", left.Why, fewOf(left.Models, most))
	}
	fmt.Fprintf(c.ErrOrStderr(), "%d models are taken\n", table.Models())
	_, err = c.OutOrStdout().Write(out)
	return err
}

// fewOf names the first of many.
func fewOf(names []string, most int) string {
	quoted := make([]string, min(len(names), most))
	for i := range quoted {
		quoted[i] = fmt.Sprintf("%.100q", names[i])
	}
	text := strings.Join(quoted, ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// openInput opens a file, or standard input for "-".
func openInput(c *cobra.Command, path string) (io.Reader, func(), error) {
	if path == "-" {
		return c.InOrStdin(), func() {}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	return f, func() { f.Close() }, nil
}

package main

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/internal/audit/vendor"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

func newSimulateCommand() *cobra.Command {
	var (
		listen   string
		tokens   int
		interval time.Duration
		keep     int
	)
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Run a simulated provider, to try the gateway without a key",
		Long: `Run a simulated provider, to try the gateway without a key, until SIGTERM or SIGINT.

It answers the calls that the gateway drains, of OpenAI, Anthropic, Gemini, Cohere and
Bedrock, streamed and not, and takes any key. Its own bill is at /simulator/bill, and where OpenAI and Anthropic have the
reports of usage and costs, so that recoup reconcile can be tried.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := untilSignal(c.Context())
			defer stop()
			if tokens < 1 || interval < 0 || keep < 0 {
				return errors.New("simulate: --tokens must be at least 1, and --interval and --keep not negative")
			}
			sim := simulator.New(simulator.Options{Keep: keep, Price: listPrice, Default: simulator.Script{Tokens: tokens, Interval: interval}})
			srv, err := sim.Start(listen)
			if errors.Is(err, syscall.EADDRINUSE) {
				return fmt.Errorf("simulate: %s is already in use: stop what listens there, or choose another address (--listen)", listen)
			}
			if err != nil {
				return fmt.Errorf("simulate: %w: choose another address (--listen)", err)
			}
			printed := howToSimulate(c.OutOrStdout(), srv.URL)
			if printed == nil {
				<-ctx.Done()
			}
			return firstError(printed, srv.Close())
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9000", "`address` to listen on")
	c.Flags().IntVar(&tokens, "tokens", 300, "`number` of output tokens of an answer")
	c.Flags().DurationVar(&interval, "interval", 50*time.Millisecond, "`time` between two tokens; 0s: as fast as they are read")
	c.Flags().IntVar(&keep, "keep", 0, "`number` of requests that the bill has, the newest; 0: all, in memory that grows with each")
	return c
}

// listPrice is what tokens, or searches, cost by the price book, in decimal dollars; "0"
// where it has no price.
func listPrice(r *simulator.Reported, kind string, n int) string {
	provider := vendor.OpenAI
	if r.Anthropic {
		provider = vendor.Anthropic
	}
	rates, _ := pricing.Embedded().Rates(pricing.Query{Provider: provider, Model: r.Model, At: r.At, ServiceTier: r.Tier})
	rate, ok := rates.Of(token.Kind(kind))
	if kind == "web_search" {
		rate, ok = rates.Of(token.Tool(kind))
	}
	amount, err := rate.Times(int64(n))
	if err != nil || !ok {
		return "0"
	}
	return amount.String()
}

func howToSimulate(w io.Writer, url string) error {
	_, err := fmt.Fprintf(w, `A simulated provider is at %[1]s. Put the gateway in front of it:

   recoup serve --provider openai=%[1]s --provider anthropic=%[1]s

Then ask the gateway. Break the answer with Ctrl-C and repeat the line: it is the same answer.

   curl -iN http://127.0.0.1:8484/v1/chat/completions \
     -H 'Authorization: Bearer sk-any' -H 'Content-Type: application/json' -H 'Idempotency-Key: mine:1' \
     -d '{"model":"gpt-5.5","stream":true,"messages":[{"role":"user","content":"Why?"}]}'

The provider's bill, whose lines are the calls that reached it:

   curl -s %[1]s/simulator/bill

`, url)
	if err != nil {
		return fmt.Errorf("simulate: print: %w", err)
	}
	return nil
}

package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/internal/demo"
)

func newTrafficCommand() *cobra.Command {
	var o demo.TrafficOptions
	c := &cobra.Command{
		Use:   "traffic",
		Short: "Keep agents working against a gateway, so that there is something to see",
		Long: `Keep agents working against a gateway, so that there is something to see on its
dashboards, until SIGTERM or SIGINT.

The provider behind the gateway must be a simulated one (recoup simulate): it is told
in a header what to do, and a real one would bill the calls. Agents ask gpt-5.5 and
gpt-5.5-mini. Most read their answers to the end. Some are cut off in mid-answer
and come back by key some seconds later, or by the stream's id; a few never come back,
cancel, or have no key and buy the answer again; the provider fails now and then; and
every --deploy-every, agents of two of three teams are cut off at once.

It waits until the gateway answers, and again whenever it doesn't.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.DeployEvery < 0 {
				return fmt.Errorf("demo traffic: --deploy-every: %s: want 0s or more", o.DeployEvery)
			}
			o.Logger = slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
			ctx, stop := untilSignal(c.Context())
			defer stop()
			tally, err := demo.Traffic(ctx, o)
			if err != nil {
				return fmt.Errorf("demo traffic: %w", err)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%d answers read to the end; %d calls bought from the provider, %d went on with an earlier answer\n",
				tally.Read, tally.Bought, tally.Resumed)
			return err
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.StringVar(&o.Gateway, "gateway", "http://127.0.0.1:8484", "`URL` of the gateway, with the name of a provider as its path where it isn't openai")
	fs.IntVar(&o.Agents, "agents", 12, "`number` of agents, each with one call at a time")
	fs.DurationVar(&o.DeployEvery, "deploy-every", 3*time.Minute, "`time` between two deploys; 0s: there is none")
	fs.Uint64Var(&o.Seed, "seed", 1, "`number` that says what is asked, and what happens")
	return c
}

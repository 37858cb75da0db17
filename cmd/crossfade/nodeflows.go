package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade/internal/nodeflows"
)

// nodeFlowsCommand is what the short-lived pods on blue's nodes run; it is no verb for people.
func (p *program) nodeFlowsCommand() *cobra.Command {
	var opts nodeflows.Options
	c := &cobra.Command{
		Use:    "node-flows",
		Short:  "Print the connections that this node tracks",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(c *cobra.Command, _ []string) error { return nodeflows.Print(c.Context(), p.out, opts) },
	}
	c.Flags().DurationVar(&opts.For, "for", 0, "how long to look")
	c.Flags().DurationVar(&opts.Every, "every", time.Second, "time between two looks")
	return c
}

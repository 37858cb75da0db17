package main

import (
	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade/internal/forwarder"
)

// forwarderCommand is what the pods run that stand before a Service of blue; it is no verb for people.
func (p *program) forwarderCommand() *cobra.Command {
	var config string
	c := &cobra.Command{
		Use:    "forwarder",
		Short:  "Pass connections on, or refuse them, and count who comes",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			parsed, err := forwarder.Parse(config)
			if err != nil {
				return err
			}
			return forwarder.Run(c.Context(), parsed, p.out)
		},
	}
	c.Flags().StringVar(&config, "config", "", "what to do, as JSON")
	return c
}

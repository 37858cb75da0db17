package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/clock"
)

func (p *program) statusCommand() *cobra.Command {
	var watch bool
	every := 2 * time.Second
	c := &cobra.Command{
		Use:   "status",
		Short: "Show where the migration stands",
		Long: `Status reads the journal, and asks the lock and the lease who runs the migration now; it takes neither, and changes
nothing. Where the file has a state.url, it reads there what another machine has done. With --watch it asks again and again
until every stage is done or it is stopped.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			for {
				next, err := p.printStatus(c.Context())
				if err != nil || !watch || next == "" {
					return err
				}
				if err := pause(c.Context(), every); err != nil {
					return nil // stopped by the user, who has seen the status
				}
				if err := p.printf("\n"); err != nil {
					return err
				}
			}
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "print again until the migration is done")
	c.Flags().DurationVar(&every, "every", every, "time between two looks of --watch")
	return c
}

func pause(ctx context.Context, d time.Duration) error { return clock.System{}.Sleep(ctx, d) }

func (p *program) printStatus(ctx context.Context) (next string, err error) {
	m, err := p.inspectAs(p.loadToGoBack)
	if err != nil {
		return "", err
	}
	m.Look(ctx)
	s, err := m.Status()
	if err != nil {
		return "", err
	}
	if p.json() {
		return s.Next, cli.JSON(p.out, s)
	}
	return s.Next, s.Print(p.out)
}

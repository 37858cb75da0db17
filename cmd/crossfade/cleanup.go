package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/cli"
)

func (p *program) cleanupCommand() *cobra.Command {
	s := step{opts: crossfade.RunOptions{Verb: "cleanup"}}
	c := &cobra.Command{
		Use:   "cleanup",
		Short: "Take away what a migration that is over has left: marks, helper pods, leases, fences",
		Long: `Cleanup takes away what a migration has left when blue is retired, or when all of it was rolled back: the labels and
annotations of Crossfade on green's objects (which stay), helper pods, leases, fences, unfinished files. It touches only what
bears this migration's name, and never the journal, the plans and the reports. Exit code 3 means that the migration is
still under way.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if s.dryRun {
				return p.printPlan(c.Context(), s.opts)
			}
			if err := p.approve(c.Context(), s); err != nil {
				return err
			}
			m, err := p.open()
			if err != nil {
				return err
			}
			result, err := m.Cleanup(c.Context())
			if err = errors.Join(err, m.Close()); err != nil {
				return err
			}
			p.progress.Close()
			if p.json() {
				return cli.JSON(p.out, result)
			}
			return result.Print(p.out)
		},
	}
	s.flags(c)
	return c
}

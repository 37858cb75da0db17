package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/cli"
)

func (p *program) retireCommand() *cobra.Command {
	var opts crossfade.RetireOptions
	var dryRun bool
	c := &cobra.Command{
		Use:   "retire",
		Short: "Delete what the migration file names of blue, with the certificate that nobody uses it",
		Long: `Retire deletes those namespaces of blue that the file names under retirement.delete, and nothing else. It needs the
retirement certificate that the run has made, looks once more whether it still holds, and takes the migration's name
as confirmation. There is no way back from it.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if dryRun {
				return p.printPlan(c.Context(), crossfade.RunOptions{Verb: "retire"})
			}
			m, err := p.open()
			if err != nil {
				return err
			}
			result, err := m.Retire(c.Context(), opts)
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
	c.Flags().StringVar(&opts.Confirm, "confirm", "", "the migration's name, typed out")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print what would be deleted and change nothing")
	return c
}

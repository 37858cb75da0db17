package main

import (
	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/cli"
)

func (p *program) verifyCommand() *cobra.Command {
	var opts crossfade.VerifyOptions
	c := &cobra.Command{
		Use:   "verify [BUCKET…]",
		Short: "Compare the buckets of both sides and check the archive",
		Long: `Verify compares the buckets of the migration, all or those named, and reads the archive. It changes nothing. Exit code
5 means that something differs, or could not be proven equal.`,
		RunE: func(c *cobra.Command, names []string) error {
			opts.Buckets = names
			m, err := p.inspect()
			if err != nil {
				return err
			}
			v, err := m.Verify(c.Context(), opts)
			if err != nil {
				return err
			}
			p.progress.Close()
			if p.json() {
				err = cli.JSON(p.out, v)
			} else {
				err = v.Print(p.out)
			}
			if err == nil && !v.OK() {
				return &silentError{code: exitDifferent}
			}
			return err
		},
	}
	c.Flags().StringVar(&opts.Mode, "mode", "listing", "how buckets are compared: listing, sample, proof (reads what the listings leave unproven) or full (reads every byte of both sides)")
	c.Flags().BoolVar(&opts.SkipArchive, "skip-archive", false, "do not read the archive")
	return c
}

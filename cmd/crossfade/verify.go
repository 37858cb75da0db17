package main

import (
	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/cli"
)

func (p *program) verifyCommand() *cobra.Command {
	var opts crossfade.VerifyOptions
	var e ends
	c := &cobra.Command{
		Use:   "verify [BUCKET… | FROM TO]",
		Short: "Compare the buckets of both sides and check the archive, or compare two places",
		Long: `Verify compares the buckets of the migration, all or those named, and reads the archive; or it compares two places, as
"crossfade sync FROM TO" takes them. It changes nothing. Exit code 5 means that something differs, or could not be proven equal.`,
		RunE: func(c *cobra.Command, args []string) error {
			v, err := p.verification(c, opts, &e, args)
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
	c.Flags().StringVar(&opts.Mode, "mode", "listing", "how buckets are compared: size (keys and sizes alone: no proof), listing, sample, proof (reads what the listings leave unproven) or full (reads every byte of both sides)")
	c.Flags().BoolVar(&opts.SkipArchive, "skip-archive", false, "do not read the archive")
	e.flags(c)
	return c
}

func (p *program) verification(c *cobra.Command, opts crossfade.VerifyOptions, e *ends, args []string) (*crossfade.Verification, error) {
	if isPlace(args) {
		s, err := p.openSync(c.Context(), e, crossfade.SyncOptions{}, args)
		if err != nil {
			return nil, err
		}
		return s.Verify(c.Context(), opts.Mode)
	}
	if err := onlyAlone(c); err != nil {
		return nil, err
	}
	opts.Buckets = args
	m, err := p.inspect()
	if err != nil {
		return nil, err
	}
	return m.Verify(c.Context(), opts)
}

package main

import (
	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/cli"
)

func (p *program) cutoverInspectCommand() *cobra.Command {
	var opts crossfade.PictureOptions
	c := &cobra.Command{
		Use:   "inspect [NAME…]",
		Short: "Show everything that a name's cutover depends on",
		Long: `Inspect shows names as a picture: zone and SOA, the delegation at parent and child, every address of every name server with its
answer, the chain of CNAMEs, DNSSEC, what stands beside and below, CAA, who keeps the name (external-dns, a migration's fence),
where both sides answer, and the arithmetic of TTLs. NAME is a hostname or an application of the file, or any other name in one of
its zones; without any, every hostname of the file is shown.

It changes nothing. What cannot be read is said, each with why, and then the exit code is 8.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, names []string) error {
			m, err := p.inspectAs(p.loadToGoBack)
			if err != nil {
				return err
			}
			opts.Names = names
			pictures, err := m.Picture(c.Context(), opts)
			if err != nil {
				return err
			}
			p.progress.Close()
			if p.json() {
				err = cli.JSON(p.out, pictures)
			} else {
				err = pictures.Print(p.out)
			}
			if err == nil && !pictures.Complete {
				return &silentError{code: exitUnproven}
			}
			return err
		},
	}
	c.Flags().BoolVar(&opts.NoClusters, "no-clusters", false, "ask neither cluster: entries are those that the file names")
	return c
}

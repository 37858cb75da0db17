package main

import (
	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/cli"
)

func (p *program) auditCommand() *cobra.Command {
	var opts crossfade.AuditOptions
	c := &cobra.Command{
		Use:   "audit",
		Short: "Check that nobody has changed or cut the journal, the manifests and the certificate",
		Long: `Audit checks the journal's hash chain, the plans that it names, and its last record against what is kept apart from it:
the state store, the reports that runs have left, and what you give with --head or --report. Only what was kept apart
shows a journal whose last records were cut off. Then the signed manifests, and the retirement certificate: its signature,
its page, its evidence, and that it is of this migration, this journal and this file. It changes nothing.

Exit code 5 means that something does not hold, 8 that nothing was found wrong and not everything could be checked.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := p.inspectAs(p.loadToGoBack)
			if err != nil {
				return err
			}
			a, err := m.Audit(c.Context(), opts)
			if err != nil {
				return err
			}
			p.progress.Close()
			if p.json() {
				err = cli.JSON(p.out, a)
			} else {
				err = a.Print(p.out)
			}
			switch {
			case err == nil && a.Verdict() == crossfade.DoesNot:
				return &silentError{code: exitDifferent}
			case err == nil && a.Verdict() == crossfade.Unproven:
				return &silentError{code: exitUnproven}
			}
			return err
		},
	}
	c.Flags().StringVar(&opts.Head, "head", "", "a hash of the journal that was kept elsewhere, or its first 12 digits")
	c.Flags().StringVar(&opts.PublicKey, "public-key", "", "public key that must have signed manifests and certificate: a file, or its line (default those that the journal names)")
	c.Flags().StringVar(&opts.Report, "report", "", "a file with a report that was kept elsewhere")
	return c
}

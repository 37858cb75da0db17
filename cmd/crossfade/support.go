package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/cli"
)

func (p *program) supportCommand() *cobra.Command {
	opts := crossfade.SupportOptions{Environ: os.Environ()}
	var dir string
	var dryRun bool
	c := &cobra.Command{
		Use:   "support",
		Short: "Write a bundle for a bug report, without secrets",
		Long: `Support writes one file, crossfade-support-NAME-TIME.tar.gz, with what a bug report needs: the migration file, the
journal, the plans in force, versions, status, report and the log of the last runs. Secrets are taken out and replaced by
marks; a README inside says what was taken out. It changes nothing else, asks nothing of servers but their version unless
--doctor is said, and may be used while another process runs the migration. Look through the bundle before you send it.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.support(c.Context(), dir, dryRun, opts) },
	}
	c.Flags().StringVar(&dir, "directory", ".", "the folder to write the bundle to")
	c.Flags().BoolVar(&opts.HideNames, "redact-names", false, "hide host names and IP addresses too")
	c.Flags().BoolVar(&opts.Doctor, "doctor", false, "run doctor and take in what it finds")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "list what would go in, and write nothing")
	return c
}

func (p *program) support(ctx context.Context, dir string, dryRun bool, opts crossfade.SupportOptions) error {
	m, err := p.inspectAs(p.loadToGoBack)
	if err != nil {
		return err
	}
	var list *crossfade.SupportBundle
	if dryRun {
		list, err = m.Support(ctx, nil, opts)
	} else {
		list, err = writeBundle(dir, m.Name(), func(w io.Writer) (*crossfade.SupportBundle, error) { return m.Support(ctx, w, opts) })
	}
	if err != nil {
		return err
	}
	p.progress.Close()
	if p.json() {
		return cli.JSON(p.out, list)
	}
	return list.Print(p.out)
}

// writeBundle makes the bundle's file for its owner's eyes only. A bundle that could not be finished is removed.
func writeBundle(dir, name string, write func(io.Writer) (*crossfade.SupportBundle, error)) (*crossfade.SupportBundle, error) {
	path := filepath.Join(dir, crossfade.SupportName(name, time.Now())+".tar.gz")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write the support bundle: %w", err)
	}
	list, err := write(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	list.File = path
	return list, nil
}

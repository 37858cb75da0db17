package main

import (
	"github.com/spf13/cobra"
)

func (p *program) exportCommand() *cobra.Command {
	s := step{}
	s.opts.Verb = "export"
	c := &cobra.Command{
		Use:   "export",
		Short: "Export blue's objects into a verified archive",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return p.step(c.Context(), s) },
	}
	s.flags(c)
	return c
}

func (p *program) syncCommand() *cobra.Command {
	s := step{}
	s.opts.Verb = "sync"
	c := &cobra.Command{
		Use:   "sync [BUCKET…]",
		Short: "Clone the migration's buckets, warm: blue goes on serving and writing",
		RunE: func(c *cobra.Command, names []string) error {
			s.opts.Names = names
			return p.step(c.Context(), s)
		},
	}
	s.flags(c)
	c.Flags().StringVar(&s.opts.Redo, "redo", "", "take one stage again although it is done: sync/BUCKET")
	return c
}

func (p *program) provisionCommand() *cobra.Command {
	s := step{}
	s.opts.Verb = "provision"
	c := &cobra.Command{
		Use:   "provision",
		Short: "Stand up the namespaces on green",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return p.step(c.Context(), s) },
	}
	s.flags(c)
	return c
}

func (p *program) restoreCommand() *cobra.Command {
	s := step{}
	s.opts.Verb = "restore"
	c := &cobra.Command{
		Use:   "restore",
		Short: "Restore the archive on green, dark",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return p.step(c.Context(), s) },
	}
	s.flags(c)
	return c
}

func (p *program) cutoverCommand() *cobra.Command {
	s := step{}
	s.opts.Verb = "cutover"
	c := &cobra.Command{
		Use:   "cutover [APPLICATION…]",
		Short: "Shift applications to green: freeze, final sync, start, checks, swap, soak",
		RunE: func(c *cobra.Command, names []string) error {
			s.opts.Names = names
			return p.step(c.Context(), s)
		},
	}
	s.flags(c)
	return c
}

package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/cli"
)

// step holds the flags of every verb that changes something.
type step struct {
	dryRun bool
	yes    bool
	opts   crossfade.RunOptions
}

func (s *step) flags(c *cobra.Command) {
	c.Flags().BoolVar(&s.dryRun, "dry-run", false, "print the plan and change nothing")
	c.Flags().BoolVar(&s.yes, "yes", false, "do not ask; never enough to destroy blue")
}

func (p *program) runCommand() *cobra.Command {
	var s step
	var metrics string
	c := &cobra.Command{
		Use:   "run",
		Short: "Take the whole migration as far as its gates allow, from where it stopped",
		Long: `Run takes every stage of the migration in order: warm phase, waves, idleness, certificate. What is done is passed
over. It may be stopped or killed at any point; the same command goes on from there. An application that breaches its
gates goes back to blue by itself (exit code 4). Run never destroys blue: that takes "retire --confirm NAME".`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withMetrics(c.Context(), metrics, func() error { return p.step(c.Context(), s) })
		},
	}
	s.flags(c)
	metricsFlag(c, &metrics)
	c.Flags().StringVar(&s.opts.Redo, "redo", "", "take one stage again although it is done; refused where going back needs what it did")
	return c
}

// step plans or runs the stages that s chooses and prints the plan or the report.
func (p *program) step(ctx context.Context, s step) error {
	if s.dryRun {
		return p.printPlan(ctx, s.opts)
	}
	if err := p.approve(ctx, s); err != nil {
		return err
	}
	m, err := p.open()
	if err != nil {
		return err
	}
	report, err := m.Run(ctx, s.opts)
	if err = errors.Join(err, m.Close()); err != nil {
		return err
	}
	p.progress.Close()
	if p.json() {
		return cli.JSON(p.out, report)
	}
	return report.Print(p.out)
}

// approve shows what is about to happen and asks, unless --yes was said.
func (p *program) approve(ctx context.Context, s step) error {
	if s.yes {
		return nil
	}
	if !cli.IsTerminal(p.out) {
		return errNobodyToAsk()
	}
	if err := p.printPlan(ctx, s.opts); err != nil {
		return err
	}
	return p.confirm()
}

func errNobodyToAsk() error {
	return &usageError{errors.New("nobody can be asked here: look at --dry-run first, then say --yes")}
}

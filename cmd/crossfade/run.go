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

// waitFlags are those of the verbs that take waves.
func (s *step) waitFlags(c *cobra.Command) {
	c.Flags().IntSliceVar(&s.opts.Approve, "approve", nil, "approve a wave by its number, as its plan is now, and go on")
	c.Flags().BoolVar(&s.opts.NoWait, "no-wait", false, "end with the exit code 11 instead of waiting for an old TTL or a change window; the same command goes on later")
}

func (p *program) runCommand() *cobra.Command {
	var s step
	var metrics string
	c := &cobra.Command{
		Use:   "run",
		Short: "Take the whole migration as far as its gates allow, from where it stopped",
		Long: `Run takes every stage of the migration in order: warm phase, waves, idleness, certificate. What is done is passed
over. It may be stopped or killed at any point; the same command goes on from there. An application that breaches its
gates goes back to blue by itself (exit code 4), and is not tried again without --approve. Run never destroys blue: that takes "retire --confirm NAME".

Where the file asks for approvals or change windows, it stops before the wave (exit code 11), and says what it waits for.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withMetrics(c.Context(), metrics, func() error { return p.step(c.Context(), s) })
		},
	}
	s.flags(c)
	s.waitFlags(c)
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
	m, err := p.openAs(p.load, !s.yes && cli.IsTerminal(p.out))
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

// askApproval shows what a wave would do and asks whether it may begin. It comes between stages, when there are no bars.
func (p *program) askApproval(_ context.Context, r crossfade.ApprovalRequest) (bool, error) {
	if err := (&crossfade.Overview{Migration: r.Plan.Migration, Plans: []*crossfade.Plan{r.Plan}}).Print(p.out); err != nil {
		return false, err
	}
	if r.Why != "" {
		if err := p.printf("\n%s\n", r.Why); err != nil {
			return false, err
		}
	}
	if err := p.printf("\nWave %d needs an approval; the hash of its plan is %.12s….", r.Wave, r.Plan.Hash()); err != nil {
		return false, err
	}
	return p.confirm() == nil, nil
}

func errNobodyToAsk() error {
	return &usageError{errors.New("nobody can be asked here: look at --dry-run first, then say --yes")}
}

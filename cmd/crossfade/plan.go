package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/cli"
)

func (p *program) planCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "plan",
		Short: "Show what the migration would do, and every reason not to begin",
		Long: `Plan reads both clusters, the stores and the zones, changes nothing, and prints every change that can be planned now,
with its reason and how it is taken back. Stages that need what an earlier one makes are listed with what they wait
for. Exit code 3 means that the plan names reasons not to begin.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.printPlan(c.Context(), crossfade.RunOptions{}) },
	}
}

func (p *program) printPlan(ctx context.Context, opts crossfade.RunOptions) error {
	m, err := p.inspect()
	if err != nil {
		return err
	}
	overview, err := m.Plan(ctx, opts)
	if err != nil {
		return err
	}
	return p.printOverview(overview)
}

// printOverview prints plans.
func (p *program) printOverview(overview *crossfade.Overview) error {
	return p.printPlanned(overview, overview.Refusals())
}

// printPlanned prints plans. Refusals among them are an error that has been told.
func (p *program) printPlanned(overview interface{ Print(io.Writer) error }, refusals int) error {
	p.progress.Close()
	var err error
	if p.json() {
		err = cli.JSON(p.out, overview)
	} else {
		err = overview.Print(p.out)
	}
	if err != nil {
		return err
	}
	if n := refusals; n > 0 {
		p.say("%s, see above: nothing would be changed before they are mended", cli.Count(n, "refusal"))
		return &silentError{code: exitRefused}
	}
	return nil
}

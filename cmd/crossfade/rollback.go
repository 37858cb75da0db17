package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/cli"
)

func (p *program) rollbackCommand() *cobra.Command {
	var opts crossfade.RollbackOptions
	var dryRun, yes bool
	c := &cobra.Command{
		Use:   "rollback [APPLICATION…]",
		Short: "Take applications back to blue, with what green has accepted",
		Long: `Rollback takes the named applications back to blue, or all of them, from wherever they are until blue is retired. Green
stops accepting writes, what it wrote to buckets is brought back and proven equal, the names lead to blue again, and
blue accepts writes. Blue's objects and records become what they were; green is kept, dark. Without names the TTLs are
given back and the fences go, too. A later run takes the migration again.

What cannot be brought back is listed, and refused unless --discard-green is said: payloads, volumes declared empty,
writes of applications without a bucket, objects that changed on both sides. It may be killed at any point; the same
command goes on from there.

Where green's cluster or its store does not answer within 30 s, that is refused as well. With --discard-green blue goes on
without what cannot be reached: names and blue go back, and what could not be stopped on green is listed (exit code 9)
and stopped first by the next command that reaches it.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, apps []string) error {
			opts.Apps = apps
			if dryRun {
				return p.planRollback(c.Context(), opts)
			}
			return p.rollback(c.Context(), opts, yes)
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print what would be taken back and what cannot be, and change nothing")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&opts.DiscardGreen, "discard-green", false, "go back although green, or something that it accepted, cannot be reached or brought to blue; it stays on green")
	return c
}

func (p *program) planRollback(ctx context.Context, opts crossfade.RollbackOptions) error {
	m, err := p.inspectAs(p.loadToGoBack)
	if err != nil {
		return err
	}
	plan, err := m.PlanRollback(ctx, opts)
	if err != nil {
		return err
	}
	p.progress.Close()
	if p.json() {
		err = cli.JSON(p.out, plan)
	} else {
		err = plan.Print(p.out)
	}
	if err != nil {
		return err
	}
	if n := len(plan.Refusals); n > 0 {
		p.say("%s, see above: nothing would be changed before they are mended", cli.Count(n, "refusal"))
		return &silentError{code: exitRefused}
	}
	return nil
}

func (p *program) rollback(ctx context.Context, opts crossfade.RollbackOptions, yes bool) error {
	if !yes {
		if !cli.IsTerminal(p.out) {
			return &usageError{errors.New("nobody can be asked here: look at --dry-run first, then say --yes")}
		}
		if err := p.planRollback(ctx, opts); err != nil {
			return err
		}
		if err := p.confirm(); err != nil {
			return err
		}
	}
	m, err := p.openAs(p.loadToGoBack, false)
	if err != nil {
		return err
	}
	report, err := m.Rollback(ctx, opts)
	if err = errors.Join(err, m.Close()); err != nil {
		return err
	}
	p.progress.Close()
	if p.json() {
		err = cli.JSON(p.out, report)
	} else {
		err = report.Print(p.out)
	}
	if err == nil && len(report.Undone) > 0 {
		p.say("green was not reached, see above: say the same again when it answers")
		return &silentError{code: exitLeftGreen}
	}
	return err
}

// confirm asks whether to go on.
func (p *program) confirm() error {
	if err := p.printf("\nGo on? Type yes: "); err != nil {
		return err
	}
	answer, err := bufio.NewReader(p.in).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != "yes" {
		return fmt.Errorf("nothing was changed: the answer was not yes")
	}
	return nil
}

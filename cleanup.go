package crossfade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/lease"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/remains"
)

// Stages of a cleanup.
const (
	stageCleanup      = "cleanup"
	stageCleanupNames = "cleanup-names"
	stageCleanupFiles = "cleanup-files"
)

// CleanupReport is what a cleanup took away.
type CleanupReport struct {
	Migration string         `json:"migration"`
	Clusters  remains.Result `json:"clusters"`
	// Files are what killed runs left in the state directory.
	Files int `json:"files"`
}

// Cleanup takes away what a migration that is over has left: marks on green's objects, helper pods, leases, fences, files that a
// killed run did not finish. The journal, the plans and the reports stay. It is refused while the migration is under way.
func (m *Migration) Cleanup(ctx context.Context) (_ *CleanupReport, err error) {
	if m.journal == nil {
		return nil, errReadOnly
	}
	m.logBegin("cleanup", nil)
	defer func() { err = m.leave(ctx, "cleanup", m.logEnd("cleanup", err)) }()
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	if err := m.endBrownOut(ctx); err != nil {
		return nil, err
	}
	m.journal.View(func(log *journal.Log) { err = m.mustBeOver(log) })
	if err == nil {
		err = m.payWhatIsOwed(ctx)
	}
	if err != nil {
		return nil, err
	}
	r := &CleanupReport{Migration: m.file.Name}
	for _, s := range m.cleanup() {
		if m.journal.Stage(s.name).Finished {
			if err := m.journal.Reset(s.name, "looked for again"); err != nil {
				return nil, err
			}
		}
		if err := m.take(ctx, s); err != nil {
			return nil, err
		}
	}
	return r, errors.Join(m.resultOf(stageCleanup, &r.Clusters), m.resultOf(stageCleanupFiles, &r.Files))
}

// mustBeOver refuses a cleanup of a migration that may still go on or go back: what would be taken away is what that needs.
func (m *Migration) mustBeOver(log *journal.Log) error {
	why := "the migration has not begun"
	if log != nil {
		if log.Stage("retire").Finished && log.Stage("restore-ttl").Finished || wholeRollback(log) {
			return nil
		}
		why = "the migration is under way: neither is blue retired, nor is all of it rolled back"
	}
	return &RefusedError{Stage: stageCleanup, Refusals: []plan.Refusal{{
		What: "migration " + m.file.Name, Why: why, Mend: "end it first: `crossfade run` and `crossfade retire`, or `crossfade rollback`; `crossfade status` shows where it stands",
	}}}
}

// wholeRollback reports whether the last that happened was that everything went back to blue.
func wholeRollback(log *journal.Log) bool {
	last, _, open := openRollback(log)
	if open || !last.Whole {
		return false
	}
	over := false
	for _, r := range log.Records {
		switch {
		case r.Kind == journal.KindNoted && r.Stage == noteRolledBack:
			over = true
		case r.Kind == journal.KindPlanned && !strings.HasPrefix(r.Stage, stageCleanup) && !strings.HasPrefix(r.Stage, "stop/"):
			// A stop that was owed belongs to the rollback; any other comes after stages that have ended the calm already.
			over = false
		}
	}
	return over
}

func (m *Migration) cleanup() []stage {
	list := []stage{withStep(m, stage{name: stageCleanup, title: "take away what the migration has left in the clusters"},
		func(context.Context) (remains.Options, error) { return m.remainsOptions() }, remains.Plan, remains.Apply)}
	if s, err := m.known("ttl"); err == nil && s.Finished {
		list = append(list, withStep(m, stage{name: stageCleanupNames, title: "give up the fences that are still there"},
			func(ctx context.Context) (cutover.RestoreOptions, error) {
				opts, err := m.cutoverOptions(ctx, stageCleanupNames)
				if err != nil {
					return cutover.RestoreOptions{}, err
				}
				var ttl cutover.TTLResult
				if err := m.resultOf("ttl", &ttl); err != nil {
					return cutover.RestoreOptions{}, err
				}
				moved, err := m.movedToGreen()
				return cutover.RestoreOptions{Options: opts, Held: ttl.Names, Moved: moved}, err
			},
			cutover.PlanRestoreTTL, restoreTTL))
	}
	return append(list, m.cleanupFilesStage())
}

func (m *Migration) remainsOptions() (remains.Options, error) {
	blue, err := m.side(Blue)
	if err != nil {
		return remains.Options{}, err
	}
	green, err := m.side(Green)
	opts := remains.Options{
		Migration: m.file.Name, Stage: stageCleanup, Blue: blue, Green: green,
		HelperNamespace: metav1.NamespaceSystem, LeaseNamespace: m.file.Applications[0].Namespace, Observer: observer{m},
	}
	if m.file.State == nil || m.file.State.URL == "" {
		opts.Keep = lease.NameInCluster(m.file.Name) // it is ours, or that of whoever runs the migration now
	}
	return opts, err
}

// cleanupFilesStage removes the files that a killed run did not finish.
func (m *Migration) cleanupFilesStage() stage {
	return stage{
		name: stageCleanupFiles, title: "remove unfinished files from the state directory",
		plan: func(context.Context) (*plan.Plan, error) {
			p := plan.New(m.file.Name, stageCleanupFiles)
			for _, pattern := range []string{".tmp-*", filepath.Join("*", ".tmp-*"), filepath.Join("manifests", "*.new")} {
				found, err := filepath.Glob(filepath.Join(m.file.StateDir(), pattern))
				if err != nil {
					return nil, fmt.Errorf("look for unfinished files: %w", err)
				}
				for _, path := range found {
					name, err := filepath.Rel(m.file.StateDir(), path)
					if err != nil {
						return nil, fmt.Errorf("look for unfinished files: %w", err)
					}
					p.Add(plan.Change{
						ID: stageCleanupFiles + "/" + filepath.ToSlash(name), Action: remains.ActionDelete, Target: "file " + name,
						Why: "a run was killed while it wrote it, and nothing reads it, so there is nothing to take back", Data: plan.JSON(name),
					})
				}
			}
			return p, nil
		},
		apply: func(ctx context.Context, p *plan.Plan) (any, error) {
			err := plan.Run(ctx, p, m.journal, plan.RunOptions{Observer: observer{m}}, func(_ context.Context, c plan.Change) (any, error) {
				at := filepath.Join(m.file.StateDir(), filepath.FromSlash(strings.TrimPrefix(c.ID, stageCleanupFiles+"/")))
				if err := os.Remove(at); err != nil && !errors.Is(err, os.ErrNotExist) {
					return nil, err
				}
				return struct{}{}, nil
			})
			return len(p.Changes), err
		},
	}
}

// planCleanup shows what a cleanup would take away.
func (m *Migration) planCleanup(ctx context.Context, o *Overview, log *journal.Log) error {
	if err := m.mustBeOver(log); err != nil {
		p := plan.New(m.file.Name, stageCleanup)
		var refused *RefusedError
		if !errors.As(err, &refused) {
			return err
		}
		p.Refusals = refused.Refusals
		o.Plans = append(o.Plans, p)
		return nil
	}
	for _, s := range m.cleanup() {
		p, err := s.plan(ctx)
		if err != nil {
			return fmt.Errorf("plan %s: %w", s.name, err)
		}
		o.Plans = append(o.Plans, p)
	}
	return nil
}

// Print writes the report for people.
func (r *CleanupReport) Print(w io.Writer) error {
	out := &printer{w: w}
	out.f("migration %s is cleaned up\n", r.Migration)
	out.f("green: marks taken off %s; helpers and leases deleted: %d; unfinished files removed: %d\n", cli.Count(r.Clusters.Unmarked, "object"), r.Clusters.Deleted, r.Files)
	if kinds := r.Clusters.Unseen; len(kinds) > 0 {
		out.f("not looked at: %s, for want of rights or an answer: something may be left there; an administrator's cleanup shows it: %s\n",
			cli.Count(len(kinds), "kind"), strings.Join(kinds, ", "))
	}
	out.f("the journal, the plans and the reports are kept\n")
	return out.err
}

package crossfade

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// newestReturnLook is how long a return that nobody asked for looks at most whether the names know more than the journal: nobody can
// write until it is over.
const newestReturnLook = lookTime / 2

// beyond is what the names of applications show and a journal does not tell of.
type beyond struct {
	atGreen []cutover.AtGreen
	fences  []cutover.Standing
}

// lookBeyond looks at the names of which the stages tell of no swap, nor a step of a shift, that was begun: those that lead to green,
// and, unless the fences are known, those that a run of this migration has fenced. What could not be read is the error beside them.
func (m *Migration) lookBeyond(ctx context.Context, stage string, apps []migration.Application, of states, fencesKnown bool) (beyond, error) {
	var look cutover.NamesOptions
	for _, a := range apps {
		if len(a.Hostnames) > 0 && movingStage(a, of) == "" {
			look.Apps = append(look.Apps, a.Name)
		}
	}
	if len(look.Apps) == 0 {
		return beyond{}, nil
	}
	var found beyond
	var err, unread error
	if look.Options, err = m.cutoverOptions(ctx, stage); err != nil {
		return found, err
	}
	if of("ttl").Finished {
		held, err := m.held()
		if err != nil {
			return found, err
		}
		look.Held = held.Names
	}
	if !fencesKnown {
		found.fences, unread = cutover.StandingFences(ctx, look)
	}
	found.atGreen, err = cutover.NamesAtGreen(ctx, look)
	return found, errors.Join(err, unread)
}

// notTheNewest are the refusals of a journal that is not its migration's newest: a name leads to green, and the journal knows of
// nothing that led it there, or it has a fence of a run that the journal does not tell of. Behind an older copy of the state directory,
// blue would be thawed and started beside a green that serves (I7), or be left frozen as if it had never been touched (I8). Only what
// is seen refuses: a server that is silent holds nobody's way back up.
func (m *Migration) notTheNewest(ctx context.Context, stage string, apps []migration.Application, within time.Duration) ([]plan.Refusal, error) {
	log, err := m.log()
	if err != nil && !errors.Is(err, journal.ErrNone) {
		return nil, err
	}
	if neverBegan(log) {
		return nil, nil // a rollback asks by itself, and a run's preflight does
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	found, err := m.lookBeyond(ctx, stage, apps, log.Stage, len(ttlPlans(log)) > 0)
	if err != nil {
		m.opts.Log.WarnContext(ctx, "whether the names know more than the journal was not found out in whole", "stage", stage, "because", err.Error())
	}
	last := log.Records[len(log.Records)-1]
	which := fmt.Sprintf("the journal in %s, which ends with record %d of %s,", m.file.StateDir(), last.Seq, last.Time.UTC().Format(time.DateTime+"Z"))
	var refusals []plan.Refusal
	for _, n := range found.atGreen {
		refusals = append(refusals, plan.Refusal{
			What: n.Name,
			Why:  fmt.Sprintf("it leads to green (%s), and %s knows of nothing that led it there: it is an older copy, or somebody moved the name by hand", n.Leads, which),
			Mend: "nothing was changed; put the newest state directory of the migration back, and run again: going on from an older one lets blue write beside green; where somebody moved the name by hand, lead it back to blue; where the newest is lost, stop the application on green and bring to blue what was written there before you lead the name back",
		})
	}
	for _, f := range found.fences {
		refusals = append(refusals, plan.Refusal{
			What: f.Name,
			Why:  fmt.Sprintf("a run of this migration has begun with it (%s), and %s knows of no fence: it is an older copy, or that run's is lost", f.Holds, which),
			Mend: "nothing was changed; " + f.Mend,
		})
	}
	return refusals, nil
}

// mustBeTheNewest refuses to go on with a journal that is not the newest.
func (m *Migration) mustBeTheNewest(ctx context.Context, stage string, apps []migration.Application, within time.Duration) error {
	refusals, err := m.notTheNewest(ctx, stage, apps, within)
	if err == nil && len(refusals) > 0 {
		return &RefusedError{Stage: stage, Refusals: refusals}
	}
	return err
}

// appsToRollBack are the applications that a rollback takes back, those of a way back that was broken off with them.
func (m *Migration) appsToRollBack(names []string) []migration.Application {
	log, err := m.log()
	if err != nil {
		return nil // there is no journal: nothing is taken back
	}
	var apps []migration.Application
	for _, t := range m.turnsToRollBack(names, log) {
		apps = append(apps, t.apps...)
	}
	return apps
}

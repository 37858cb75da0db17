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

// atGreenUnknown returns the names that lead to green although the stages tell of no swap, nor a step of a shift, that was begun.
// What could not be read is the error beside them.
func (m *Migration) atGreenUnknown(ctx context.Context, stage string, apps []migration.Application, of states) ([]cutover.AtGreen, error) {
	var look cutover.NamesOptions
	for _, a := range apps {
		if len(a.Hostnames) > 0 && movingStage(a, of) == "" {
			look.Apps = append(look.Apps, a.Name)
		}
	}
	if len(look.Apps) == 0 {
		return nil, nil
	}
	var err error
	if look.Options, err = m.cutoverOptions(ctx, stage); err != nil {
		return nil, err
	}
	if of("ttl").Finished {
		held, err := m.held()
		if err != nil {
			return nil, err
		}
		look.Held = held.Names
	}
	return cutover.NamesAtGreen(ctx, look)
}

// notTheNewest are the refusals of a journal that is not its migration's newest: a name leads to green, and the journal knows of
// nothing that led it there. Behind an older copy of the state directory, blue would be thawed and started beside a green that
// serves (I7). Only what is seen refuses: a server that is silent holds nobody's way back up.
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
	at, err := m.atGreenUnknown(ctx, stage, apps, log.Stage)
	if err != nil {
		m.opts.Log.WarnContext(ctx, "whether the names know more than the journal was not found out in whole", "stage", stage, "because", err.Error())
	}
	last := log.Records[len(log.Records)-1]
	var refusals []plan.Refusal
	for _, n := range at {
		refusals = append(refusals, plan.Refusal{
			What: n.Name,
			Why: fmt.Sprintf("it leads to green (%s), and the journal in %s, which ends with record %d of %s, knows of nothing that led it there: it is an older copy, or somebody moved the name by hand",
				n.Leads, m.file.StateDir(), last.Seq, last.Time.UTC().Format(time.DateTime+"Z")),
			Mend: "nothing was changed; put the newest state directory of the migration back, and run again: going on from an older one lets blue write beside green; where somebody moved the name by hand, lead it back to blue; where the newest is lost, stop the application on green and bring to blue what was written there before you lead the name back",
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

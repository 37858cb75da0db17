package crossfade

import (
	"fmt"
	"slices"
	"sort"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// pipeline is the order of a migration.
func (m *Migration) pipeline() []stage {
	var list []stage
	add := func(stages ...stage) { list = append(list, stages...) }

	// Warm: blue serves and writes all the while.
	add(m.preflightStage()) // both sides, stores, zones and entries can be reached, and are not the same
	add(m.exportStage())    // a gate: nothing further without a verified archive
	for _, b := range m.file.Buckets {
		add(m.syncStage("sync/"+b.Name, b)) // until the delta is small
	}
	add(m.provisionStage())  // namespaces on green
	add(m.portsStage())      // green's node ports, free of collisions
	add(m.restoreStage())    // green stays dark
	add(m.warmChecksStage()) // what runs in a read-only mode answers already
	add(m.ttlStage())        // names are fenced, TTLs lowered, the old ones waited out

	// Waves: one turn after the other. Applications that share a bucket share a turn.
	for _, t := range m.turns() {
		for _, b := range t.buckets {
			add(t.in(m.syncStage("warm/"+b.Name, b))) // blue has written since
		}
		add(t.each(m.freezeStage)...)       // blue refuses writes, confirmed by trying one; it goes on serving reads
		add(t.each(m.deltaStage)...)        // what changed since the export
		add(t.each(m.restoreDeltaStage)...) // the same on green
		for _, b := range t.buckets {
			add(t.in(m.finalSyncStage(b))) // with proof of equality
		}
		add(t.each(m.startStage)...) // green may write
		for _, app := range t.apps {
			if app.Payload != nil {
				add(t.each(m.payloadStage, app)...) // what the export streamed into the archive
			}
			if len(app.Checks) > 0 {
				add(t.each(m.checksStage, app)...) // under the real hostname, at green's address
			}
		}
		for _, app := range t.apps {
			if len(app.Hostnames) == 0 {
				continue
			}
			for i := range steps(app) {
				add(t.each(func(a migration.Application) stage { return m.shiftStage(a, i) }, app)...) // a part of the traffic, measured and watched
			}
			add(t.each(m.swapStage, app)...)   // one atomic change of each name
			add(t.each(m.settleStage, app)...) // no cache holds the old answer any more
			add(t.each(m.soakStage, app)...)   // watched; a breach goes back
			if app.Shift.AtEntry() || m.journal != nil && m.splitAtEntry(app, m.journal.Stage) {
				add(t.each(m.shiftEndStage, app)...) // blue's entry leads to blue alone again
			}
			if app.Forward != nil {
				add(t.each(m.forwardStage, app)...) // who still comes to blue is passed on
			}
			if len(app.Drain) > 0 {
				add(t.each(m.drainStage, app)...) // blue closes what clients have kept open
			}
		}
	}

	// After: blue stays frozen and reachable until nobody comes any more.
	if m.file.Retirement != nil {
		add(m.idleStage()) // proof, piece by piece, that nobody uses blue
		if m.file.RefusesFor() > 0 {
			add(m.brownOutStage()) // blue refuses for a while, which is undone: whoever comes then was overlooked
		}
		add(m.certificateStage()) // what retire --confirm asks for
	}
	return list
}

// turn is a group of applications of one wave that are frozen together, because they share buckets.
type turn struct {
	name    string
	wave    int
	apps    []migration.Application
	buckets []migration.Bucket
}

// in makes a stage a part of the turn.
func (t turn) in(s stage) stage {
	s.turn, s.wave, s.verb = t.name, t.wave, "cutover"
	s.after = "its turn"
	for _, a := range t.apps {
		s.company = append(s.company, a.Name)
	}
	return s
}

// each makes a stage for every application of the turn, or for those named.
func (t turn) each(make func(migration.Application) stage, only ...migration.Application) []stage {
	if len(only) == 0 {
		only = t.apps
	}
	var list []stage
	for _, a := range only {
		s := make(a)
		s.app = a.Name
		list = append(list, t.in(s))
	}
	return list
}

// turns groups the applications: waves in order, and in each wave the applications in the file's order, those that share
// buckets together.
func (m *Migration) turns() []turn {
	apps := slices.Clone(m.file.Applications)
	sort.SliceStable(apps, func(i, k int) bool { return apps[i].Wave < apps[k].Wave })
	var turns []turn
	for _, a := range apps {
		into := -1
		for i := 0; i < len(turns); i++ {
			if turns[i].wave != a.Wave || !sharesBucket(turns[i].apps, a) {
				continue
			}
			if into < 0 {
				into = i
				continue
			}
			// The application ties two groups together.
			turns[into].apps = append(turns[into].apps, turns[i].apps...)
			turns = slices.Delete(turns, i, i+1)
			i--
		}
		if into < 0 {
			turns = append(turns, turn{wave: a.Wave})
			into = len(turns) - 1
		}
		turns[into].apps = append(turns[into].apps, a)
	}
	for i := range turns {
		turns[i].name = fmt.Sprintf("wave %d: %s", turns[i].wave, turns[i].apps[0].Name)
		turns[i].buckets = m.bucketsOf(turns[i].apps)
	}
	return turns
}

func sharesBucket(apps []migration.Application, a migration.Application) bool {
	return slices.ContainsFunc(apps, func(x migration.Application) bool {
		return slices.ContainsFunc(x.Buckets, func(b string) bool { return slices.Contains(a.Buckets, b) })
	})
}

func (m *Migration) bucketsOf(apps []migration.Application) []migration.Bucket {
	var list []migration.Bucket
	for _, b := range m.file.Buckets {
		if slices.ContainsFunc(apps, func(a migration.Application) bool { return slices.Contains(a.Buckets, b.Name) }) {
			list = append(list, b)
		}
	}
	return list
}

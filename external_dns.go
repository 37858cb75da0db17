package crossfade

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/journal"
)

// Names under which it is noted that a Deployment of external-dns is about to be scaled to 0, and what became of it later. The
// first comes before the change: what it keeps is what a rollback starts it again from, also where the plan of the ttl stage was
// forgotten since.
const (
	notePausing = "external-dns-pausing"
	noteResumed = "external-dns-resumed"
)

// PausedDNS is a Deployment of external-dns that the migration has scaled to 0 and not started again.
type PausedDNS struct {
	cutover.Paused
	Since time.Time `json:"since"`
	// Left says why it was not started again when the migration was over, or rolled back.
	Left string `json:"left,omitempty"`
}

// String is one line for people.
func (p PausedDNS) String() string {
	if p.Left != "" {
		return "external-dns: " + cutover.Resumed{Paused: p.Paused, Left: p.Left, Still: true}.String()
	}
	return fmt.Sprintf("external-dns is paused: %s, since %s; it had %d replicas, and gets them back when all of the migration is rolled back",
		p.Paused, p.Since.UTC().Format(time.DateTime+" MST"), p.Replicas)
}

// pausedIn reads from the journal what is paused.
func pausedIn(log *journal.Log) []PausedDNS {
	if log == nil {
		return nil
	}
	var list []PausedDNS
	for _, r := range log.Records {
		if r.Kind != journal.KindNoted {
			continue
		}
		switch r.Stage {
		case notePausing:
			var p PausedDNS
			if json.Unmarshal(r.Data, &p.Paused) != nil {
				continue
			}
			p.Since = r.Time
			list = append(slices.DeleteFunc(list, func(x PausedDNS) bool { return x.Same(p.Paused) }), p)
		case noteResumed:
			var became cutover.Resumed
			if json.Unmarshal(r.Data, &became) != nil {
				continue
			}
			for i, x := range list {
				if x.Same(became.Paused) {
					list[i].Left = became.Left
				}
			}
			if !became.Still {
				list = slices.DeleteFunc(list, func(x PausedDNS) bool { return x.Same(became.Paused) })
			}
		}
	}
	return list
}

// resumedIn reads what became of paused Deployments, the last word on each.
func resumedIn(records []journal.Record) []cutover.Resumed {
	var list []cutover.Resumed
	for _, r := range records {
		var became cutover.Resumed
		if r.Kind != journal.KindNoted || r.Stage != noteResumed || json.Unmarshal(r.Data, &became) != nil {
			continue
		}
		list = append(slices.DeleteFunc(list, func(x cutover.Resumed) bool { return x.Same(became.Paused) }), became)
	}
	return list
}

// pausedDNS is what the journal knows to be paused.
func (m *Migration) pausedDNS() []cutover.Paused {
	log, err := m.log()
	if err != nil {
		return nil // there is no journal yet
	}
	var list []cutover.Paused
	for _, p := range pausedIn(log) {
		list = append(list, p.Paused)
	}
	return list
}

func (m *Migration) pausing(p cutover.Paused) error { return m.journal.Note(notePausing, p) }

func (m *Migration) resumed(r cutover.Resumed) error { return m.journal.Note(noteResumed, r) }

// withDNS adds what starting external-dns again takes.
func (m *Migration) withDNS(opts cutover.RestoreOptions) (_ cutover.RestoreOptions, err error) {
	opts.Paused, opts.Resumed = m.pausedDNS(), m.resumed
	if len(opts.Paused) == 0 {
		return opts, nil
	}
	if opts.Blue.Kube, err = m.side(Blue); err != nil {
		return opts, err
	}
	if opts.Green.Kube, err = m.side(Green); err != nil {
		opts.Green.Kube = nil // going back must not need green: what is paused there stays so, and is said
	}
	return opts, nil
}

// pausesOrTTLs reports whether there is anything of the ttl stage to take back.
func pausesOrTTLs(log *journal.Log) bool {
	return len(ttlPlans(log)) > 0 || len(pausedIn(log)) > 0
}

// ttlTitle and returnTitle tell of external-dns only where there is something to tell.
func (m *Migration) ttlTitle() string {
	const title = "lower the TTLs and wait the old ones out"
	if e := m.file.Cutover.ExternalDNS; e != nil && e.Pause != nil {
		return "pause external-dns, " + title
	}
	return title
}

func (m *Migration) returnTitle() string {
	const title = "give the names their TTLs back, and their fences up"
	if len(m.pausedDNS()) > 0 {
		return title + "; start external-dns again"
	}
	return title
}

func printPaused(out *printer, list []PausedDNS) {
	for _, p := range list {
		out.f("\n%s\n", p)
	}
}

func printResumed(out *printer, list []cutover.Resumed) {
	if len(list) > 0 {
		out.f("\nexternal-dns:\n")
	}
	for _, r := range list {
		out.f("  %s\n", r)
	}
}

// lastPlanned is the place of the record with which a stage was last planned, or 0.
func lastPlanned(log *journal.Log, stage string) int {
	for i, r := range slices.Backward(log.Records) {
		if r.Kind == journal.KindPlanned && r.Stage == stage {
			return i
		}
	}
	return 0
}

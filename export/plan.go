package export

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// ActionWrite writes a revision of the archive.
const ActionWrite plan.Action = "write"

// Summary is the Data of an export's plan.
type Summary struct {
	Revision int            `json:"revision"`
	Counts   map[string]int `json:"counts"`
	Objects  int            `json:"objects"`
	// Dropped counts, per reason, what is read and not archived.
	Dropped map[string]int   `json:"dropped,omitempty"`
	Unread  []kube.DeadGroup `json:"unread,omitempty"`
}

// revisionData is what Apply consumes.
type revisionData struct {
	Revision int    `json:"revision"`
	Base     string `json:"base,omitempty"`
	BlueUID  string `json:"blueUID"`
}

// Plan reads all that would be exported, and counts it. It writes nothing.
func Plan(ctx context.Context, opts Options) (*plan.Plan, error) {
	p := plan.New(opts.Migration, opts.stage())
	blue, err := opts.Blue.Identity(ctx)
	if err != nil {
		return nil, fmt.Errorf("plan the export: %w", err)
	}
	keep, counted := newCounter()
	s, err := newSurvey(opts, keep)
	if err != nil {
		return nil, fmt.Errorf("plan the export: %w", err)
	}
	if err := s.run(ctx); err != nil {
		return nil, fmt.Errorf("plan the export: %w", err)
	}
	total := counted()
	summary := Summary{Counts: total.kinds, Objects: total.objects, Dropped: s.dropped, Unread: s.unread}
	data := revisionData{Revision: 1, BlueUID: blue.UID}
	if base, ok := lastRevision(ctx, p, opts, blue); ok {
		data.Revision, data.Base = base.Revision+1, base.Hash
	}
	summary.Revision = data.Revision
	p.Refusals = append(p.Refusals, s.refusals...)
	p.Notes = append(p.Notes, s.notes...)
	if (total.kinds["Secret"] > 0 || opts.hasPayload()) && len(opts.Archive.Recipients) == 0 {
		p.Refuse("archive.recipients", "the applications hold Secrets or payloads, and nobody is named to whom they are encrypted",
			"run age-keygen, set archive.recipients to the public key and archive.identity to where the secret key is")
	}
	if total.kinds["Secret"] > 0 && len(opts.Archive.Identities) == 0 {
		p.Note(plan.Warning, "archive.identity", "without it the Secrets' presence is verified, not that they can be opened, and each export writes all of them again")
	}
	for _, reason := range slices.Sorted(maps.Keys(s.dropped)) {
		p.Note(plan.Info, "left on blue", fmt.Sprintf("%d objects: %s", s.dropped[reason], reason))
	}
	p.Add(writeChange(opts, data, total.objects))
	p.Data = plan.JSON(summary)
	return p, nil
}

func (o Options) hasPayload() bool {
	return slices.ContainsFunc(o.Applications, func(a migration.Application) bool { return o.chosen(a.Name) && a.Payload != nil })
}

func writeChange(opts Options, data revisionData, objects int) plan.Change {
	why := "nothing else begins before blue's objects are in a verified archive"
	if len(opts.Only) > 0 {
		why = fmt.Sprintf("what changed of %v since the last revision has to reach green", opts.Only)
	}
	c := plan.Change{
		ID: opts.stage() + "/archive", Action: ActionWrite, Why: why + "; a revision is only added, so there is nothing to take back",
		Target:   fmt.Sprintf("archive: revision %d with %d objects", data.Revision, objects),
		ReliesOn: []plan.Reliance{{What: "blue's uid", Is: data.BlueUID}, {What: "the archive's last revision", Is: orNone(data.Base)}},
		Data:     plan.JSON(data),
	}
	if len(opts.Only) == 1 {
		c.App = opts.Only[0]
	}
	return c
}

func orNone(hash string) string {
	if hash == "" {
		return "none"
	}
	return hash
}

// lastRevision reads the archive as it is, and refuses one that cannot be reached or belongs to something else.
func lastRevision(ctx context.Context, p *plan.Plan, opts Options, blue kube.Identity) (archive.Index, bool) {
	w, err := archive.OpenWriter(ctx, opts.Store, opts.Archive)
	if err != nil {
		mend := "check the archive's URL, its store and its credentials"
		if errors.Is(err, archive.ErrCorrupt) {
			mend = "move the damaged archive away, or name another"
		}
		p.Refuse("archive", err.Error(), mend)
		return archive.Index{}, false
	}
	base := w.Base()
	if base == nil {
		return archive.Index{}, false
	}
	if base.Migration != opts.Migration {
		p.Refuse("archive", fmt.Sprintf("it belongs to the migration %q", base.Migration), "name another place in archive.url")
	} else if base.BlueUID != blue.UID {
		p.Refuse("archive", "it was exported from another cluster than blue", "name another place in archive.url, or correct blue")
	}
	return *base, true
}

// totals is what a survey found.
type totals struct {
	objects int
	kinds   map[string]int
}

// newCounter returns a keep that only counts, and what it counted.
func newCounter() (func(context.Context, item) error, func() totals) {
	var mu sync.Mutex
	t := totals{kinds: map[string]int{}}
	keep := func(_ context.Context, it item) error {
		mu.Lock()
		defer mu.Unlock()
		t.objects++
		t.kinds[it.obj.GetKind()]++
		return nil
	}
	return keep, func() totals { return t }
}

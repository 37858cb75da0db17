package crossfade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// preflightResult is what preflight saw of both sides.
type preflightResult struct {
	Blue  kube.Identity `json:"blue"`
	Green kube.Identity `json:"green"`
}

// preflightStage reads everything that the migration relies on, once, so that what is not there is said before
// anything is changed. It has no changes of its own.
func (m *Migration) preflightStage() stage {
	const name = "preflight"
	return stage{
		name: name, verb: "run", title: "look at both sides, the stores and the zones",
		plan: m.preflight,
		apply: func(_ context.Context, p *plan.Plan) (any, error) {
			return p.Data, nil
		},
	}
}

func (m *Migration) preflight(ctx context.Context) (*plan.Plan, error) {
	p := plan.New(m.file.Name, "preflight")
	var seen preflightResult
	reached := m.lookAt(ctx, p, Blue, &seen.Blue)
	m.lookAtState(ctx, p, reached)
	reached = m.lookAt(ctx, p, Green, &seen.Green) && reached
	if reached {
		m.compareSides(p, seen)
		if err := m.lookAtRights(ctx, p); err != nil {
			return nil, err
		}
		m.lookForSwap(ctx, p)
	}
	m.lookAtBuckets(ctx, p)
	if _, err := m.archiveStore(ctx); err != nil {
		why, hint := mend.Apart(err, "correct archive.url, or its store")
		p.Refuse("archive", why, hint)
	}
	if _, err := m.archiveOptions(ctx); err != nil {
		why, hint := mend.Apart(err, "correct archive.identity: age-keygen writes a key file")
		p.Refuse("archive", why, hint)
	}
	if m.file.Archive.Identity == nil && len(m.file.Archive.Recipients) == 0 {
		p.Note(plan.Warning, "archive", "no key is given: the export is refused as soon as it meets a Secret")
	}
	names := m.lookAtZones(ctx, p, reached, seen.Blue.UID == seen.Green.UID)
	p.Notes = append(p.Notes, cutover.Outlook(cutover.Options{Times: m.file.Cutover, Rehearsal: m.file.Rehearsal}, names)...)
	m.lookAtWaits(p)
	m.lookAtForwards(ctx, p, reached)
	m.lookAtRetirement(ctx, p, reached)
	m.lookAtReceivers(ctx, p)
	refusals, notes := m.examineQueries(ctx)
	p.Refusals, p.Notes = append(p.Refusals, refusals...), append(p.Notes, notes...)
	if m.file.Rehearsal != nil {
		p.Note(plan.Warning, "rehearsal", "safety times are shortened on purpose; every report and the certificate say so")
	}
	p.Data = plan.JSON(seen)
	return p, ctx.Err()
}

func (m *Migration) lookAt(ctx context.Context, p *plan.Plan, side string, into *kube.Identity) bool {
	client, err := m.side(side)
	if err != nil {
		p.Refuse(side, err.Error(), "correct "+side+".kubeconfig and "+side+".context in "+m.file.Path)
		return false
	}
	limited, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	id, err := client.Identity(limited)
	if err != nil {
		why, hint := mend.Apart(client.Explain(err), "see that it runs and can be reached from here, and that "+side+".kubeconfig names its address")
		p.Refuse(side, "its API server could not be asked: "+why, hint)
		return false
	}
	*into = id
	return true
}

func (m *Migration) compareSides(p *plan.Plan, seen preflightResult) {
	p.Note(plan.Info, "versions", fmt.Sprintf("blue runs %s, green runs %s", seen.Blue.Version, seen.Green.Version))
	if seen.Blue.UID != seen.Green.UID {
		return
	}
	for _, a := range m.file.Applications {
		if m.greenNamespace(a.Namespace) == a.Namespace {
			p.Refuse(a.Name, "blue and green are the same cluster, and namespace "+a.Namespace+" is not mapped to another", "map it under maps.namespaces, or point green at another cluster")
		}
	}
}

func (m *Migration) lookAtBuckets(ctx context.Context, p *plan.Plan) {
	for _, b := range m.file.Buckets {
		m.lookAtBucket(ctx, p, b.Name+" (from)", b.From, false)
		m.lookAtBucket(ctx, p, b.Name+" (to)", b.To, b.Create)
	}
}

// lookTime is how long an API server or a store may take to answer the first question.
const lookTime = 20 * time.Second

func (m *Migration) lookAtBucket(ctx context.Context, p *plan.Plan, what string, end migration.BucketEnd, mayBeMissing bool) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	b, err := m.bucketAt(ctx, end)
	if err != nil {
		p.Refuse("bucket "+what, err.Error(), "correct stores."+end.Store)
		return
	}
	err = b.Check(ctx)
	switch {
	case err == nil, mayBeMissing && errors.Is(err, bucket.ErrNotExist):
	case errors.Is(err, bucket.ErrNotExist):
		p.Refuse("bucket "+what, fmt.Sprintf("%s does not exist at store %s", end.Bucket, end.Store), "correct its name, make it, or say create: true for a destination")
	case ctx.Err() != nil:
		p.Refuse("bucket "+what, fmt.Sprintf("store %s did not answer within %s: %v", end.Store, lookTime, err), "check stores."+end.Store+": its endpoint, and what lies between here and there")
	default:
		p.Refuse("bucket "+what, err.Error(), "check stores."+end.Store+": its endpoint and its keys")
	}
}

// hasNames reports whether the file has zones, or hostnames, which may do without one.
func (m *Migration) hasNames() bool {
	return len(m.file.Zones) > 0 || slices.ContainsFunc(m.file.Applications, func(a migration.Application) bool { return len(a.Hostnames) > 0 })
}

// lookAtZones asks everything of the names that reading can tell, and returns what it was told. Names that the journal has moved must
// lead to green.
func (m *Migration) lookAtZones(ctx context.Context, p *plan.Plan, reached, oneCluster bool) (found cutover.Inspection) {
	if !m.hasNames() {
		return found
	}
	if _, err := m.zoneOptions(ctx, "preflight"); err != nil {
		p.Refuse("zones", err.Error(), "correct zones and their secrets")
		return found
	}
	if !reached {
		return found // where names should lead is found in the clusters; that a side was not reached is refused already
	}
	opts, err := m.cutoverOptions(ctx, "preflight")
	if err != nil {
		p.Refuse("blue and green", err.Error(), "correct their kubeconfig and context in "+m.file.Path)
		return found
	}
	inspect := cutover.InspectOptions{Options: opts, WithoutGreen: true, OneCluster: oneCluster, IngressClasses: m.file.Maps.IngressClasses}
	if inspect.Moved, inspect.Moving, err = m.movedApps(); err != nil {
		p.Refuse("zones", err.Error(), "correct what is said of the state directory first: it tells which names have moved")
		return found
	}
	found, err = cutover.Inspect(ctx, inspect)
	if apierrors.IsForbidden(err) {
		p.Refuse("zones", err.Error(), "give the account its rights: crossfade doctor --rbac prints them")
		return found
	}
	if err != nil {
		var id kube.Identity
		if m.lookAt(ctx, p, Blue, &id) && m.lookAt(ctx, p, Green, &id) { // else it was a cluster, and that is said
			p.Refuse("zones", err.Error(), "check that the name servers can be reached from here")
		}
		return found
	}
	p.Refusals = append(p.Refusals, found.Refusals...)
	p.Notes = append(p.Notes, found.Notes...)
	return found
}

// movedApps are the applications whose names the journal says to be on green, and those whose shift or swap has begun and not ended.
func (m *Migration) movedApps() (moved, moving []string, err error) {
	log, err := m.log()
	if errors.Is(err, journal.ErrNone) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, a := range m.file.Applications {
		switch {
		case log.Stage("swap/" + a.Name).Finished:
			moved = append(moved, a.Name)
		case firstMove(a, log.Stage) != "":
			moving = append(moving, a.Name)
		}
	}
	return moved, moving, nil
}

// zone opens a zone's driver, once.
func (m *Migration) zone(ctx context.Context, z migration.Zone) (zone.Zone, error) {
	m.mu.Lock()
	driver, ok := m.zones[z.Name]
	m.mu.Unlock()
	if ok {
		return driver, nil
	}
	if m.opts.OpenZone == nil {
		return nil, errors.New("no drivers of zones are wired: set Options.OpenZone")
	}
	config, err := m.zoneConfig(ctx, z)
	if err != nil {
		return nil, err
	}
	driver, err = m.opts.OpenZone(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open zone %s: %w", z.Name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.zones[z.Name] = driver
	return driver, nil
}

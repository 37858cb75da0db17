package restore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// planVanished finds what this migration made on green and blue has no longer. It is deleted only where both sides were
// listed completely (I4): the revision has no API that blue failed to serve, and green's listing ended without an error.
// Claims, which hold data, and cluster-scoped objects, which others may share, are reported and kept.
func (pl *planner) planVanished(ctx context.Context) error {
	index := pl.opts.Archive.Index()
	if index.Revision < 2 {
		return nil
	}
	wanted, namespaces := map[key]bool{}, map[string]string{}
	for _, it := range pl.cargo.items {
		wanted[it.key] = true
	}
	ns := namespaceMap(pl.opts.Maps.Namespaces)
	for _, e := range index.Entries {
		if !pl.opts.wants(e) { // another application's: it is not for this plan to judge
			wanted[key{e.Group, e.Kind, ns.of(e.Namespace), e.Name}] = true
		}
	}
	for _, app := range pl.opts.Applications {
		if len(pl.opts.Only) == 0 || slices.Contains(pl.opts.Only, app.Name) {
			namespaces[ns.of(app.Namespace)] = app.Name
		}
	}
	found, err := pl.made(ctx, namespaces)
	if err != nil {
		return err
	}
	for _, obj := range found {
		k := keyOf(obj.Unstructured)
		switch {
		case wanted[k] || len(obj.GetOwnerReferences()) > 0 || contentOf(obj.Unstructured) == "":
		case len(index.Unread) > 0:
			pl.plan.Note(plan.Warning, k.String(), "blue does not show it any more, but blue did not serve "+strings.Join(index.Unread, ", ")+" either: it is kept")
		case k.is("", "PersistentVolumeClaim"):
			pl.plan.Note(plan.Warning, k.String(), "blue has it no longer; it may hold data and is kept")
		default:
			pl.remove(k, obj, namespaces[k.Namespace], "this migration made it, and it is not to be on green any more: blue deleted it, or it ended there")
		}
	}
	return nil
}

// A madeObject is one that carries this migration's label.
type madeObject struct {
	*unstructured.Unstructured
	resource kube.Resource
}

// madeKinds are the kinds that this migration can have made on green: Kubernetes' own, and of the others those that a revision
// of the archive holds. Others are not asked for: they may come and go with somebody else's migration, and no role could name
// them. A kind that green does not serve in the group in which blue had it was written in another one.
func (pl *planner) madeKinds(ctx context.Context) (map[schema.GroupKind]kube.Resource, error) {
	kinds := map[schema.GroupKind]kube.Resource{}
	add := func(gk schema.GroupKind) {
		if r, ok := pl.view.served[gk]; ok {
			kinds[gk] = r
			return
		}
		for other, r := range pl.view.served {
			if other.Kind == gk.Kind {
				kinds[other] = r
			}
		}
	}
	for gk, r := range pl.view.served {
		if isOwn(gk.Group) {
			kinds[gk] = r
		}
	}
	for _, it := range pl.cargo.items {
		add(schema.GroupKind{Group: it.key.Group, Kind: it.key.Kind})
	}
	for _, e := range pl.opts.Archive.Index().Entries {
		add(schema.GroupKind{Group: e.Group, Kind: e.Kind})
	}
	if archive, ok := pl.opts.Archive.(Earlier); ok {
		earlier, err := archive.EarlierKinds(ctx)
		if err != nil {
			return nil, fmt.Errorf("read what was on blue before: %w", err)
		}
		for _, gk := range earlier {
			add(gk)
		}
	}
	for gk, r := range kinds {
		if !r.Namespaced || !r.Can("list") || !r.Can("delete") || pl.view.coming[gk] {
			delete(kinds, gk)
		}
	}
	return kinds, nil
}

// isOwn reports whether a group is one of Kubernetes' own.
func isOwn(group string) bool {
	return !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
}

// made lists what carries the migration's label in the namespaces, of every kind that it can have made. A kind that this account
// may not list is reported, and what there is of it is kept.
func (pl *planner) made(ctx context.Context, namespaces map[string]string) ([]madeObject, error) {
	kinds, err := pl.madeKinds(ctx)
	if err != nil {
		return nil, err
	}
	var (
		mu     sync.Mutex
		found  []madeObject
		closed []string
	)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(pl.opts.Parallel)
	selector := kube.LabelMigration + "=" + pl.opts.Migration
	for _, r := range kinds {
		for namespace := range namespaces {
			group.Go(func() error {
				for obj, err := range pl.view.client.List(gctx, r, namespace, selector) {
					if apierrors.IsForbidden(err) {
						mu.Lock()
						closed = append(closed, r.String()+" in "+namespace)
						mu.Unlock()
						return nil
					}
					if err != nil {
						return fmt.Errorf("look for what blue no longer has: %w", err)
					}
					mu.Lock()
					found = append(found, madeObject{obj, r})
					mu.Unlock()
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.Sort(closed)
	for _, what := range closed {
		pl.plan.Note(plan.Warning, what, "this account may not list it: what blue has had of it, and has no longer, is kept")
	}
	slices.SortFunc(found, func(a, b madeObject) int { return compareKeys(keyOf(a.Unstructured), keyOf(b.Unstructured)) })
	return found, nil
}

func (pl *planner) remove(k key, obj madeObject, app, why string) {
	pl.summary.Deletes++
	t := task{Target: targetOf(obj.resource, obj.Unstructured), UID: string(obj.GetUID()), Level: -1}
	reverse := &plan.Reverse{Action: ActionCreate, How: "restore the revision of the archive before this one"}
	if !k.is("", "Secret") {
		reverse.How, reverse.Data = "create it with the content that it had", plan.JSON(kube.Canonical(obj.Unstructured).Object)
	}
	pl.plan.Add(plan.Change{
		ID: pl.id(k.path()) + "@gone-" + t.UID, Action: ActionDelete, Target: "green: " + k.String(), App: app,
		Why:      why,
		ReliesOn: []plan.Reliance{{What: "uid of " + k.String(), Is: t.UID}}, Reverse: reverse, Data: plan.JSON(t),
	})
}

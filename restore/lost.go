package restore

import (
	"context"
	"fmt"

	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// A remainder is what green has of a migration that can run, in an archive's place.
type remainder struct {
	index   archive.Index
	objects map[string]*unstructured.Unstructured
}

// Index implements Archive.
func (r *remainder) Index() archive.Index { return r.index }

// Object implements Archive.
func (r *remainder) Object(_ context.Context, e archive.Entry) (*unstructured.Unstructured, error) {
	obj, ok := r.objects[e.ID()]
	if !ok {
		return nil, fmt.Errorf("green has no %s", e.ID())
	}
	return obj.DeepCopy(), nil
}

// WithoutArchive returns options with which PlanStop and Apply stop green when the archive is lost: a return must not hang on
// the very backup whose loss may have caused it. What there is to stop is read from green by the migration's label. Nothing
// can be restored or started with them.
func WithoutArchive(ctx context.Context, opts Options) (Options, error) {
	v, err := look(ctx, opts.Green)
	if err != nil {
		return opts, err
	}
	rest := &remainder{objects: map[string]*unstructured.Unstructured{}}
	for _, r := range v.served {
		k := key{Group: r.Group, Kind: r.Kind}
		_, runs := leverOf(k)
		if !r.Can("list") || !runs && !waitsForStart(k, migration.DarkScaled) && !isAdmissionWebhook(k) {
			continue
		}
		if err := rest.gather(ctx, opts, r); err != nil {
			return opts, fmt.Errorf("find out without the archive what runs on green: %w", err)
		}
	}
	opts.Archive, opts.Patches, opts.Binds = rest, nil, nil // green's objects have these already
	return opts, nil
}

// gather takes in the migration's objects of one kind, under blue's namespaces, as an archive has them.
func (r *remainder) gather(ctx context.Context, opts Options, kind kube.Resource) error {
	namespaces := map[string]string{} // green's to blue's
	for _, a := range opts.Applications {
		namespaces[namespaceMap(opts.Maps.Namespaces).of(a.Namespace)] = a.Namespace
	}
	if !kind.Namespaced {
		err := r.gatherIn(ctx, opts, kind, "", "")
		if apierrors.IsForbidden(err) {
			return nil // an account that may not read them has made none
		}
		return err
	}
	for green, blue := range namespaces { // each by itself: rights end at its border
		err := r.gatherIn(ctx, opts, kind, green, blue)
		if apierrors.IsForbidden(err) && !isOwn(kind.Group) {
			continue // nor one of these: the roles name those that the migration moves
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// gatherIn takes in those of one of green's namespaces, or those that have none.
func (r *remainder) gatherIn(ctx context.Context, opts Options, kind kube.Resource, green, blue string) error {
	for obj, err := range opts.Green.List(ctx, kind, green, kube.LabelMigration+"="+opts.Migration) {
		if err != nil {
			return err
		}
		app := ""
		if kind.Namespaced {
			obj.SetNamespace(blue)
			if app, err = ownerOf(opts.Applications, obj); err != nil {
				return err
			}
		}
		gvk := obj.GroupVersionKind()
		e := archive.Entry{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Namespace: obj.GetNamespace(), Name: obj.GetName(), App: app}
		r.index.Entries, r.objects[e.ID()] = append(r.index.Entries, e), obj
	}
	return nil
}

// ownerOf decides as the export did: the first application whose selector matches, else the first of the namespace.
func ownerOf(apps []migration.Application, obj *unstructured.Unstructured) (string, error) {
	owner := ""
	for _, a := range apps {
		if a.Namespace != obj.GetNamespace() {
			continue
		}
		if owner == "" {
			owner = a.Name
		}
		selector, err := labels.Parse(a.Selector)
		if err != nil {
			return "", fmt.Errorf("read the selector of application %s: %w", a.Name, err)
		}
		if selector.Matches(labels.Set(obj.GetLabels())) {
			return a.Name, nil
		}
	}
	return owner, nil
}

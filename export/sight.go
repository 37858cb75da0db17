package export

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// A Sight is blue as an export would archive it, held in memory: what follows can be judged before anything is archived. It
// holds Secrets in clear, so it is never written anywhere.
type Sight struct {
	// Refusals and Notes are those that the export's plan would hold about blue's objects.
	Refusals []plan.Refusal
	Notes    []plan.Note

	index   archive.Index
	objects map[string]*unstructured.Unstructured
	survey  *survey
}

// Look reads all that would be exported. It writes nothing.
func Look(ctx context.Context, opts Options) (*Sight, error) {
	blue, err := opts.Blue.Identity(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at blue: %w", err)
	}
	s := &Sight{objects: map[string]*unstructured.Unstructured{}}
	s.index = archive.Index{Format: archive.Format, Migration: opts.Migration, Revision: 1, BlueUID: blue.UID, BlueVersion: blue.Version, Tool: opts.Tool, Made: opts.clock().Now().UTC()}
	var mu sync.Mutex
	s.survey, err = newSurvey(opts, func(_ context.Context, it item) error {
		gvk := it.obj.GroupVersionKind()
		e := archive.Entry{
			Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Namespace: it.obj.GetNamespace(), Name: it.obj.GetName(),
			App: it.app, Role: it.role, Encrypted: gvk.Group == "" && gvk.Kind == "Secret",
		}
		e.Hash = e.ID() // nothing is compared by it
		mu.Lock()
		defer mu.Unlock()
		s.index.Entries = append(s.index.Entries, e)
		s.objects[e.ID()] = it.obj
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look at blue: %w", err)
	}
	if err := s.survey.run(ctx); err != nil {
		return nil, fmt.Errorf("look at blue: %w", err)
	}
	slices.SortFunc(s.index.Entries, func(a, b archive.Entry) int { return strings.Compare(a.ID(), b.ID()) })
	for _, d := range s.survey.unread {
		s.index.Unread = append(s.index.Unread, d.GroupVersion)
	}
	s.Refusals, s.Notes = s.survey.refusals, s.survey.notes
	return s, nil
}

// Index returns what an archive of it would hold.
func (s *Sight) Index() archive.Index { return s.index }

// Object returns one object as the archive would have it.
func (s *Sight) Object(_ context.Context, e archive.Entry) (*unstructured.Unstructured, error) {
	obj, ok := s.objects[e.ID()]
	if !ok {
		return nil, fmt.Errorf("%s: %w", e.ID(), archive.ErrNotExist)
	}
	return obj.DeepCopy(), nil
}

// has reports whether an application has an object of a kind.
func (s *Sight) has(app, group, kind string) bool {
	return slices.ContainsFunc(s.index.Entries, func(e archive.Entry) bool { return e.App == app && e.Group == group && e.Kind == kind })
}

// resource returns how blue serves a kind, where it does.
func (s *Sight) resource(group, kind string) (kube.Resource, bool) {
	i := slices.IndexFunc(s.survey.resources, func(r kube.Resource) bool { return r.Group == group && r.Kind == kind })
	if i < 0 {
		return kube.Resource{}, false
	}
	return s.survey.resources[i], true
}

// Volumes returns the volumes behind the applications' claims.
func (s *Sight) Volumes() []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, e := range s.index.Entries {
		if e.Group == "" && e.Kind == "PersistentVolume" {
			out = append(out, s.objects[e.ID()])
		}
	}
	return out
}

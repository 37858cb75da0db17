package export

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// listParallel is how many listings are under way at once. The server's Priority and Fairness decides the rest (K23).
const listParallel = 8

// item is one object that goes into the archive.
type item struct {
	obj  *unstructured.Unstructured
	app  string
	role string
}

// survey walks everything that the applications have and hands it to keep, which is called from several goroutines.
// Only what is needed to follow references stays in memory.
type survey struct {
	opts     Options
	assign   *assigner
	drop     dropper
	original originals
	keep     func(context.Context, item) error

	resources []kube.Resource

	mu        sync.Mutex
	refs      map[ref]bool
	custom    map[string]bool // names of CRDs whose resources are kept
	accounts  map[string]bool // ServiceAccounts as namespace/name
	matched   map[string]bool // applications that select something
	unmatched map[string][]string
	dropped   map[string]int
	unread    []kube.DeadGroup
	refusals  []plan.Refusal
	notes     []plan.Note
}

func newSurvey(opts Options, keep func(context.Context, item) error) (*survey, error) {
	assign, err := newAssigner(opts.Applications)
	if err != nil {
		return nil, err
	}
	original, err := originalsOf(opts.Frozen)
	if err != nil {
		return nil, err
	}
	return &survey{
		opts: opts, assign: assign, original: original, keep: keep,
		drop: dropper{migration: opts.Migration, selectorless: map[string]bool{}},
		refs: map[ref]bool{}, custom: map[string]bool{}, accounts: map[string]bool{},
		matched: map[string]bool{}, unmatched: map[string][]string{}, dropped: map[string]int{},
	}, nil
}

// run walks the namespaces of the chosen applications, then what they refer to.
func (s *survey) run(ctx context.Context) error {
	resources, dead, err := s.opts.Blue.Resources(ctx)
	if err != nil {
		return err
	}
	s.unread = dead
	if s.resources, err = s.shared(ctx, resources); err != nil {
		return err
	}
	namespaces := s.namespaces()
	for _, ns := range namespaces {
		if err := s.findSelectorless(ctx, ns); err != nil {
			return err
		}
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(listParallel)
	for _, r := range s.exported(resources) {
		for _, ns := range namespaces {
			group.Go(func() error { return s.list(gctx, r, ns) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := s.cluster(ctx, namespaces); err != nil {
		return err
	}
	s.report()
	return nil
}

func (s *survey) namespaces() []string {
	var out []string
	for _, app := range s.opts.Applications {
		if s.opts.chosen(app.Name) && !slices.Contains(out, app.Namespace) {
			out = append(out, app.Namespace)
		}
	}
	return out
}

// shared gives each resource the version in which it is read: the first of blue's that green serves too, where green is
// known and serves the kind at all (K16).
func (s *survey) shared(ctx context.Context, resources []kube.Resource) ([]kube.Resource, error) {
	if s.opts.Green == nil {
		return resources, nil
	}
	green, _, err := s.opts.Green.Resources(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the versions that green serves: %w", err)
	}
	served := map[schema.GroupResource][]string{}
	for _, r := range green {
		served[r.GroupResource()] = r.Versions
	}
	for i, r := range resources {
		versions := served[r.GroupResource()]
		at := slices.IndexFunc(r.Versions, func(v string) bool { return slices.Contains(versions, v) })
		if at >= 0 {
			resources[i] = r.In(r.Versions[at])
		} else if len(versions) > 0 {
			s.note(plan.Warning, r.String(), fmt.Sprintf("blue serves %v and green serves %v: it must be converted", r.Versions, versions))
		}
	}
	return resources, nil
}

// exported chooses the namespaced kinds that can be read and made again. What can only be read is reported.
func (s *survey) exported(resources []kube.Resource) []kube.Resource {
	hasIngress := slices.ContainsFunc(resources, func(r kube.Resource) bool {
		return r.Group == "networking.k8s.io" && r.Resource == "ingresses"
	})
	var out []kube.Resource
	for _, r := range s.resources {
		switch {
		case !r.Namespaced || !r.Can("list") || neverExported(r):
		case r.Group == "extensions" && hasIngress: // the same objects under their old name
		case !r.Can("create"):
			s.note(plan.Info, r.String(), "can be read but not made: it is derived from other objects and not exported")
		default:
			out = append(out, r)
		}
	}
	return out
}

func (s *survey) findSelectorless(ctx context.Context, namespace string) error {
	services := kube.Resource{
		GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "services"}, Kind: "Service", Namespaced: true,
	}
	for obj, err := range s.opts.Blue.List(ctx, services, namespace, "") {
		if apierrors.IsForbidden(err) {
			return nil // the listing of Services is refused below, with its reason
		}
		if err != nil {
			return err
		}
		selector, _, _ := unstructured.NestedStringMap(obj.Object, "spec", "selector")
		if len(selector) == 0 {
			s.drop.selectorless[namespace+"/"+obj.GetName()] = true
		}
	}
	return nil
}

func (s *survey) list(ctx context.Context, r kube.Resource, namespace string) error {
	for obj, err := range s.opts.Blue.List(ctx, r, namespace, "") {
		if err != nil {
			return s.listFailed(ctx, r, namespace, err)
		}
		if err := s.take(ctx, r, obj); err != nil {
			return err
		}
	}
	return nil
}

// listFailed tells what a failed listing means: no right is a refusal, an API that is gone is reported, all else an error.
func (s *survey) listFailed(ctx context.Context, r kube.Resource, namespace string, err error) error {
	switch {
	case apierrors.IsForbidden(err):
		_, why, aerr := s.opts.Blue.Allowed(ctx, "list", r, namespace)
		if aerr != nil || why == "" {
			why = "the server says: forbidden"
		}
		s.refuse("list "+r.String()+" in "+orCluster(namespace), why, "give blue's user the right to list "+r.String()+", or use another context")
		return nil
	case dead(err):
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unread = append(s.unread, kube.DeadGroup{GroupVersion: r.GroupVersion().String(), Why: err.Error()})
		return nil
	}
	return err
}

// dead reports whether an API does not answer at all, as one whose APIService has lost its backend (K17).
func dead(err error) bool {
	return apierrors.IsServiceUnavailable(err) || apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err)
}

func orCluster(namespace string) string {
	if namespace == "" {
		return "the whole cluster"
	}
	return namespace
}

// take assigns one object and keeps or drops it.
func (s *survey) take(ctx context.Context, r kube.Resource, obj *unstructured.Unstructured) error {
	app, matched := s.assign.owner(obj.GetNamespace(), obj.GetLabels())
	if !s.opts.chosen(app.Name) {
		return nil
	}
	if why := s.drop.reason(obj); why != "" {
		s.mu.Lock()
		s.dropped[why]++
		s.mu.Unlock()
		s.lostToken(obj, why)
		return nil
	}
	if err := behindFront(obj); err != nil {
		return err
	}
	s.original.restore(obj)
	obj.SetManagedFields(nil)
	refs := referred(obj)
	id := r.String() + "/" + obj.GetName()
	s.mu.Lock()
	for _, found := range refs {
		s.refs[found] = true
	}
	if strings.Contains(r.Group, ".") {
		s.custom[r.String()] = true
	}
	if r.Group == "" && r.Kind == "ServiceAccount" {
		s.accounts[obj.GetNamespace()+"/"+obj.GetName()] = true
	}
	if matched {
		s.matched[app.Name] = true
	} else {
		s.unmatched[obj.GetNamespace()] = append(s.unmatched[obj.GetNamespace()], id)
	}
	s.mu.Unlock()
	if r.Group == "" && r.Kind == "PersistentVolumeClaim" && app.Volumes != "empty" && app.Payload == nil {
		s.refuse("PersistentVolumeClaim "+obj.GetNamespace()+"/"+obj.GetName(),
			"volume data is not copied, and application "+app.Name+" does not say that the volume may be empty on green",
			"set volumes: empty, or declare a payload hook for application "+app.Name)
	}
	return s.keep(ctx, item{obj: obj, app: app.Name})
}

// lostToken reports a token that somebody asked for by name: what mounts it will not find it on green.
func (s *survey) lostToken(obj *unstructured.Unstructured, why string) {
	account := obj.GetAnnotations()["kubernetes.io/service-account.name"]
	if why == dropToken && account != "" {
		s.note(plan.Loss, "Secret "+obj.GetNamespace()+"/"+obj.GetName(),
			"it holds a token of ServiceAccount "+account+" that only blue accepts: what reads it needs a new one on green")
	}
}

func (s *survey) refuse(what, why, mend string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals = append(s.refusals, plan.Refusal{What: what, Why: why, Mend: mend})
}

func (s *survey) note(level plan.Level, what, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, plan.Note{Level: level, What: what, Text: text})
}

// shownNames is how many names a note lists.
const shownNames = 12

// report turns what was counted into notes, in an order that does not depend on the listings'.
func (s *survey) report() {
	for _, ns := range s.namespaces() {
		names := s.unmatched[ns]
		if len(names) == 0 {
			continue
		}
		slices.Sort(names)
		text := fmt.Sprintf("%d objects that no selector matches go with application %s: %s", len(names), s.assign.first(ns).Name, some(names))
		s.note(plan.Info, "namespace "+ns, text)
	}
	for _, app := range s.opts.Applications {
		if s.opts.chosen(app.Name) && app.Selector != "" && !s.matched[app.Name] {
			s.refuse("application "+app.Name, "its selector "+app.Selector+" matches nothing in "+app.Namespace, "correct applications[].selector")
		}
	}
	slices.SortFunc(s.unread, func(a, b kube.DeadGroup) int { return strings.Compare(a.GroupVersion, b.GroupVersion) })
	s.unread = slices.CompactFunc(s.unread, func(a, b kube.DeadGroup) bool { return a.GroupVersion == b.GroupVersion })
	for _, d := range s.unread {
		s.note(plan.Warning, d.GroupVersion, "this API does not answer, so what it holds is not exported: "+d.Why)
	}
	slices.SortFunc(s.notes, func(a, b plan.Note) int { return strings.Compare(a.What+a.Text, b.What+b.Text) })
	slices.SortFunc(s.refusals, func(a, b plan.Refusal) int { return strings.Compare(a.What, b.What) })
}

func some(names []string) string {
	if len(names) <= shownNames {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:shownNames], ", ") + fmt.Sprintf(" and %d more", len(names)-shownNames)
}

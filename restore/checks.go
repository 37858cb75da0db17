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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/dynamic"
)

// checkPlace refuses to restore blue onto itself, and onto an older Kubernetes unless told so.
func (pl *planner) checkPlace(ctx context.Context) error {
	id, err := pl.opts.Green.Identity(ctx)
	if err != nil {
		return fmt.Errorf("ask green who it is: %w", err)
	}
	index := pl.opts.Archive.Index()
	if id.UID == index.BlueUID {
		ns := namespaceMap(pl.opts.Maps.Namespaces)
		seen := map[string]bool{}
		for _, it := range pl.cargo.items {
			name := it.blue.GetNamespace()
			if name != "" && ns.of(name) == name && !seen[name] {
				seen[name] = true
				pl.plan.Refuse("namespace "+name, "blue and green are one cluster, and this namespace keeps its name: it would be restored onto itself", "map the namespace to another name under maps.namespaces")
			}
		}
	}
	blue, berr := version.ParseGeneric(index.BlueVersion)
	green, gerr := version.ParseGeneric(id.Version)
	if berr != nil || gerr != nil {
		pl.plan.Note(plan.Warning, "versions", fmt.Sprintf("blue says %q and green %q: they cannot be compared", index.BlueVersion, id.Version))
		return nil
	}
	if green.Major() == blue.Major() && green.Minor() < blue.Minor() && !pl.opts.AllowOlder {
		pl.plan.Refuse("green", fmt.Sprintf("it runs %s, older than blue's %s: fields that it does not know would be lost", id.Version, index.BlueVersion), "use a green of at least blue's version, or say restore.allowOlder: true")
	}
	return nil
}

// checkRights asks, before anything is written, whether everything may be (K14).
func (pl *planner) checkRights(ctx context.Context) error {
	type right struct {
		verb string
		at   place
	}
	rights := map[right]kube.Resource{}
	for _, c := range pl.plan.Changes {
		t, err := decode[task](c)
		if err != nil {
			return err
		}
		verb := string(c.Action)
		switch c.Action {
		case ActionWait, ActionHook:
			continue
		case ActionStart, ActionStop:
			verb = "patch"
		}
		at := place{t.Target.resource().GroupVersionResource, t.Target.Namespace}
		rights[right{verb, at}] = t.Target.resource()
		if _, turns := leverOf(t.Target.key()); turns { // it is to be started later: that is said now
			rights[right{"patch", at}] = t.Target.resource()
		}
	}
	var mu sync.Mutex
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(pl.opts.Parallel)
	for need, r := range rights {
		group.Go(func() error {
			ok, why, err := pl.opts.Green.Allowed(gctx, need.verb, r, need.at.namespace)
			if err != nil || ok {
				return err
			}
			where := "in the cluster"
			if need.at.namespace != "" {
				where = "in namespace " + need.at.namespace
			}
			mu.Lock()
			defer mu.Unlock()
			pl.plan.Refuse(fmt.Sprintf("green: %s %s", need.verb, r), strings.TrimSpace("this account may not "+need.verb+" them "+where+" "+why), "give the account of green's kubeconfig the right, or use another one")
			return nil
		})
	}
	return group.Wait()
}

// checkWrites tries on the server, without effect, the writes that it may refuse for reasons that nothing else shows:
// roles that grant more than this account has (K14), and updates of fields that cannot change (K10).
func (pl *planner) checkWrites(ctx context.Context) error {
	byPath := map[string]*item{}
	for _, it := range pl.cargo.items {
		byPath[it.key.path()] = it
	}
	w := newWriter(pl.opts)
	for _, c := range pl.plan.Changes {
		t, err := decode[task](c)
		if err != nil {
			return err
		}
		it := byPath[t.Target.key().path()]
		at := pl.opts.Green.At(t.Target.resource(), t.Target.Namespace)
		switch {
		case c.Action == ActionCreate && it.key.Group == rbacGroup:
			obj := it.waiting.DeepCopy()
			_, err = at.Create(ctx, obj, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) {
				err = nil // the namespace or the role is still to come
			}
		case c.Action == ActionUpdate:
			err = w.tryUpdate(ctx, at, it, pl.live[it.key], t.Foreign)
		default:
			continue
		}
		switch {
		case apierrors.IsForbidden(err) || apierrors.IsInvalid(err):
			pl.plan.Refuse(it.key.String(), fmt.Sprintf("green would not let it be %sd: %s", c.Action, err), "grant what is missing; for a field that cannot change, delete the object on green by hand, so that it is made anew")
		case err != nil:
			return fmt.Errorf("try to %s %s: %w", c.Action, it.key, err)
		}
	}
	return nil
}

// updateTries is how often a controller may move an object between its reading and the trial of its update.
const updateTries = 10

// tryUpdate tries an update without effect. An object whose controller moves it meanwhile is read again: a refusal must not
// go unseen because its status had just changed.
func (w *writer) tryUpdate(ctx context.Context, at dynamic.ResourceInterface, it *item, live *unstructured.Unstructured, foreign Policy) error {
	for tries := 1; ; tries++ {
		obj := it.waiting.DeepCopy()
		if err := w.owners(ctx, obj); err != nil {
			return err
		}
		carry(live, obj, foreign)
		_, err := at.Update(ctx, obj, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		if !apierrors.IsConflict(err) || tries == updateTries {
			return err
		}
		if live, err = at.Get(ctx, obj.GetName(), metav1.GetOptions{}); err != nil {
			return fmt.Errorf("read it again: %w", err)
		}
	}
}

// checkConversions refuses custom resources that green's server could store only by asking a webhook whose backend rests
// (K11): they are archived in another version than the CRD stores.
func (pl *planner) checkConversions() {
	stores := map[[2]string]string{}
	for _, it := range pl.cargo.items {
		spec := dig(it.running.Object, "spec")
		if !it.key.is(crdGroup, "CustomResourceDefinition") || digString(spec, "conversion", "strategy") != "Webhook" {
			continue
		}
		for _, v := range digMaps(spec, "versions") {
			if digBool(v, "storage") {
				stores[[2]string{digString(spec, "group"), digString(spec, "names", "kind")}] = digString(v, "name")
			}
		}
	}
	for _, it := range pl.cargo.items {
		stored, converted := stores[[2]string{it.key.Group, it.key.Kind}]
		if is := it.running.GroupVersionKind().Version; converted && is != stored {
			pl.plan.Refuse(it.key.String(), fmt.Sprintf("it is archived in version %s, its CRD stores %s, and the webhook that converts one into the other rests until its application starts", is, stored),
				"run the conversion's operator on green first, outside of this migration")
		}
	}
}

// checkFile refuses parts of the migration file that would do nothing, or not what they say.
func (pl *planner) checkFile() {
	if len(pl.opts.Only) == 0 {
		pl.checkPatches()
		for _, b := range pl.opts.Binds {
			if !slices.ContainsFunc(pl.cargo.items, func(it *item) bool { return binds(b, keyOf(it.blue)) }) {
				pl.plan.Refuse(fmt.Sprintf("bind of %s %s/%s", b.Kind, b.Namespace, b.Name), "the archive holds no such object", "correct the names in buckets[].bind; they are blue's")
			}
		}
	}
	for _, app := range pl.opts.Applications {
		if len(pl.opts.Only) > 0 && !slices.Contains(pl.opts.Only, app.Name) {
			continue
		}
		if err := checkDark(app, func(k key) bool { return pl.cargo.held[k] }); err != nil {
			pl.plan.Refuse("application "+app.Name, err.Error(), "correct freeze.enter, or let the application wait scaled")
		}
	}
}

func (pl *planner) checkPatches() {
	for i, p := range pl.opts.Patches {
		hit := slices.ContainsFunc(pl.cargo.items, func(it *item) bool {
			ok, err := matches(p.Target, keyOf(it.blue), it.blue.GetLabels())
			return ok && err == nil
		})
		if !hit {
			t := p.Target
			pl.plan.Refuse(fmt.Sprintf("patches[%d]", i), "it matches nothing in the archive: "+key{t.Group, t.Kind, t.Namespace, t.Name + t.Selector}.String(), "correct its target; group, kind, namespace and name are blue's")
		}
	}
}

// checkVolumes refuses claims whose data nobody moves.
func (pl *planner) checkVolumes() {
	for _, it := range pl.cargo.items {
		if len(claimsOf(it.running)) == 0 {
			continue
		}
		app, known := pl.opts.app(it.entry.App)
		switch {
		case known && app.Volumes == "empty":
			pl.plan.Note(plan.Loss, it.key.String(), "its volume starts empty on green, as the file declares")
		case known && app.Payload != nil:
			pl.plan.Note(plan.Info, it.key.String(), "its volume starts empty on green; the payload fills it")
		default:
			pl.plan.Refuse(it.key.String(), "it claims a volume, and volume data is not moved", "declare volumes: empty for the application, or a payload")
		}
	}
}

// checkMentions reports what looks like a reference and is not typed as one (K18), and what would act on the world outside.
func (pl *planner) checkMentions() {
	ns := namespaceMap(pl.opts.Maps.Namespaces)
	for _, it := range pl.cargo.items {
		for _, text := range ns.mentions(it.running) {
			pl.plan.Note(plan.Warning, it.key.String(), "it names a Service by blue's namespace, in text that is not rewritten: "+text)
		}
		for _, text := range ns.untyped(it.running) {
			pl.plan.Note(plan.Warning, it.key.String(), "a field of a custom resource may name a namespace that moves; it is not rewritten: "+text)
		}
		if it.key.is(crdGroup, "CustomResourceDefinition") && digString(it.blue.Object, "spec", "conversion", "webhook", "clientConfig", "caBundle") != "" {
			pl.plan.Note(plan.Info, it.key.String(), "the caBundle of its conversion is not brought over: its controller, or a patch, sets green's")
		}
		if it.key.is("", "LimitRange") {
			pl.plan.Note(plan.Info, it.key.String(), "it may change the requests of pods that say none")
		}
		if it.key.is("", "Secret") && digString(it.blue.Object, "type") == "helm.sh/release.v1" {
			pl.plan.Note(plan.Info, it.key.String(), "it holds a Helm release with manifests as blue had them")
		}
		for name := range it.running.GetAnnotations() {
			if strings.HasPrefix(name, dnsAnnotations) {
				pl.plan.Note(plan.Warning, it.key.String(), "the annotation "+name+" lets a controller on green write DNS records before the cutover: patch it away if green runs one")
			}
		}
		pl.noteOwners(it)
	}
	for _, dead := range pl.view.dead {
		pl.plan.Note(plan.Warning, "green: "+dead.GroupVersion, "green lists this API and does not serve it: "+dead.Why)
	}
}

func (pl *planner) noteOwners(it *item) {
	for _, ref := range it.running.GetOwnerReferences() {
		group, _, ok := strings.Cut(ref.APIVersion, "/")
		if !ok {
			group = ""
		}
		owned := slices.ContainsFunc(pl.cargo.items, func(o *item) bool {
			return o.key == key{group, ref.Kind, it.key.Namespace, ref.Name} || o.key == key{group, ref.Kind, "", ref.Name}
		})
		if !owned {
			pl.plan.Note(plan.Warning, it.key.String(), fmt.Sprintf("its owner %s %s is not in the archive: the reference is dropped unless green has one", ref.Kind, ref.Name))
		}
	}
}

// checkClasses refuses classes that green does not have (K19).
func (pl *planner) checkClasses(ctx context.Context) error {
	users := map[classRef][]string{}
	for _, it := range pl.cargo.items {
		for _, ref := range classesOf(it.running) {
			users[ref] = append(users[ref], it.key.String())
		}
	}
	if len(users) == 0 {
		return nil
	}
	have, err := pl.greenClasses(ctx, users)
	if err != nil {
		return err
	}
	for ref, by := range users {
		if have[ref] {
			continue
		}
		slices.Sort(by)
		what, why := ref.kind+" "+ref.name, "green has no such class"
		if ref.name == "" {
			what, why = ref.kind+" (the default one)", "green has no default class"
			if ref.kind == "IngressClass" {
				pl.plan.Note(plan.Warning, what, why+": an ingress controller that serves only its own class passes over "+strings.Join(by, ", "))
				continue
			}
		}
		pl.plan.Refuse(what, why+", and "+strings.Join(by, ", ")+" need it", "make it on green, or map it under maps."+strings.ToLower(ref.kind[:1])+ref.kind[1:]+"es")
	}
	return nil
}

func classGroups() map[string]string {
	return map[string]string{"StorageClass": "storage.k8s.io", "IngressClass": "networking.k8s.io", "PriorityClass": "scheduling.k8s.io", "RuntimeClass": "node.k8s.io"}
}

// greenClasses lists green's classes; the name "" stands for the default one of its kind.
func (pl *planner) greenClasses(ctx context.Context, users map[classRef][]string) (map[classRef]bool, error) {
	groups := classGroups()
	have, listed := map[classRef]bool{}, map[string]bool{}
	for ref := range users {
		if listed[ref.kind] {
			continue
		}
		listed[ref.kind] = true
		r, err := pl.opts.Green.ResourceFor(ctx, groups[ref.kind], ref.kind)
		if err != nil {
			return nil, fmt.Errorf("look for classes: %w", err)
		}
		for obj, err := range pl.opts.Green.List(ctx, r, "", "") {
			if err != nil {
				return nil, fmt.Errorf("look for classes: %w", err)
			}
			have[classRef{ref.kind, obj.GetName()}] = true
			a := obj.GetAnnotations()
			if a["storageclass.kubernetes.io/is-default-class"] == "true" || a["storageclass.beta.kubernetes.io/is-default-class"] == "true" || a["ingressclass.kubernetes.io/is-default-class"] == "true" {
				have[classRef{ref.kind, ""}] = true
			}
		}
	}
	return have, nil
}

// podsOf returns how many pods an object runs once it is started, as far as its own spec says.
func podsOf(it *item) int64 {
	switch it.key.Kind {
	case "Pod":
		return 1
	case "CronJob", "Job":
		if n, ok := digInt(it.running.Object, "spec", "parallelism"); ok {
			return n
		}
		return 1
	case "DaemonSet":
		return 0 // as many as there are nodes, on each its share
	}
	if n, ok := digInt(it.running.Object, "spec", "replicas"); ok {
		return n
	}
	return 1
}

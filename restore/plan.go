package restore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Actions of this step's changes.
const (
	ActionCreate plan.Action = "create"
	ActionUpdate plan.Action = "update"
	ActionDelete plan.Action = "delete"
	ActionWait   plan.Action = "wait"
	ActionStart  plan.Action = "start"
	ActionStop   plan.Action = "stop"
	ActionHook   plan.Action = "hook"
)

// Summary is the Data of a plan of this step.
type Summary struct {
	// Revision of the archive.
	Revision int `json:"revision"`
	// Objects of the archive that take part.
	Objects   int `json:"objects"`
	Creates   int `json:"creates"`
	Updates   int `json:"updates"`
	Deletes   int `json:"deletes"`
	Unchanged int `json:"unchanged"`
	// Later lists what is made when its application starts.
	Later []string `json:"later,omitempty"`
	// Left lists foreign objects that stay as they are.
	Left []string `json:"left,omitempty"`
	// Dropped lists what of the archive is not made on green, and why.
	Dropped []Dropped `json:"dropped,omitempty"`
}

// A target is how one object of green is addressed.
type target struct {
	Group      string `json:"group,omitempty"`
	Version    string `json:"version"`
	Resource   string `json:"resource"`
	Kind       string `json:"kind"`
	Namespaced bool   `json:"namespaced,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

func targetOf(r kube.Resource, obj *unstructured.Unstructured) target {
	return target{
		Group: r.Group, Version: r.Version, Resource: r.Resource, Kind: obj.GetKind(), Namespaced: r.Namespaced,
		Namespace: obj.GetNamespace(), Name: obj.GetName(),
	}
}

func (t target) key() key { return key{t.Group, t.Kind, t.Namespace, t.Name} }

func (t target) resource() kube.Resource {
	return kube.Resource{
		GroupVersionResource: schema.GroupVersionResource{Group: t.Group, Version: t.Version, Resource: t.Resource},
		Kind:                 t.Kind, Namespaced: t.Namespaced,
	}
}

// A task is the Data of a change that writes one object.
type task struct {
	Target target         `json:"target"`
	Entry  *archive.Entry `json:"entry,omitempty"`
	// Hash of the content that is written; of a Secret, the archive's keyed hash of what blue had.
	Hash string `json:"hash,omitempty"`
	// Running writes the object as it is after the start.
	Running bool `json:"running,omitempty"`
	// Foreign says that the object was not ours before: adopt makes it ours, update leaves it its owner's.
	Foreign Policy `json:"foreign,omitempty"`
	// UID of the object that is deleted.
	UID   string `json:"uid,omitempty"`
	Level int    `json:"level,omitempty"`
	// OnePlace says that green is blue's own cluster.
	OnePlace bool `json:"onePlace,omitempty"`
}

// A planner is one call of Plan under way.
type planner struct {
	opts    Options
	view    *view
	cargo   *cargo
	live    map[key]*unstructured.Unstructured
	plan    *plan.Plan
	summary Summary
}

func newPlanner(ctx context.Context, opts Options) (*planner, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	pl := &planner{opts: opts, plan: plan.New(opts.Migration, opts.Stage)}
	if pl.view, err = look(ctx, opts.Green); err != nil {
		return nil, err
	}
	if pl.cargo, err = load(ctx, opts, pl.view, pl.plan); err != nil {
		return nil, err
	}
	pl.live, err = pl.view.live(ctx, pl.cargo.runnings(), opts.Parallel)
	return pl, err
}

// Plan reads the archive and green and returns one change for each object that is to be written, in the order of the
// objects' references, and a last one that waits until all is ready. It changes nothing.
//
//	on green now                          | change
//	nothing                               | create
//	nothing, and no resting state         | none: PlanStart creates it
//	ours, same content                    | none
//	ours, same content, but put to rest   | start, where the application waits for its turn running
//	ours, other content                   | update
//	foreign, cluster-scoped, same content | none: it is shared
//	foreign                               | as Options.Conflicts says
//	ours, no longer on blue               | delete; claims and cluster-scoped objects are only reported
//
// A plan whose objects changed since, or that meets a foreign object, is refused by Apply with a *plan.MovedError.
func Plan(ctx context.Context, opts Options) (*plan.Plan, error) {
	pl, err := newPlanner(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("plan the restore: %w", err)
	}
	for _, it := range pl.cargo.items {
		pl.compare(it)
	}
	for _, step := range []func(context.Context) error{
		pl.checkPlace, pl.checkRights, pl.checkWrites, pl.checkClasses, pl.checkCapacity, pl.checkIngress, pl.checkOnePlace, pl.planVanished,
	} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("plan the restore: %w", err)
		}
	}
	pl.checkFile()
	pl.checkVolumes()
	pl.checkConversions()
	pl.checkMentions()
	pl.planReady()
	pl.finish()
	return pl.plan, nil
}

func (pl *planner) finish() {
	pl.summary.Revision = pl.opts.Archive.Index().Revision
	pl.summary.Objects = len(pl.cargo.items) + len(pl.cargo.dropped)
	pl.summary.Dropped = pl.cargo.dropped
	pl.plan.Data = plan.JSON(pl.summary)
	slices.SortStableFunc(pl.plan.Refusals, func(a, b plan.Refusal) int { return cmp.Compare(a.What, b.What) })
}

// id is stable: the same change planned again has the same one. An update's has the content in it, since one object may be
// updated again in a later try of the same stage.
func (pl *planner) id(parts ...string) string { return idOf(pl.opts.Stage, parts...) }

func idOf(stage string, parts ...string) string {
	for _, p := range parts {
		stage += "/" + p
	}
	return stage
}

func (pl *planner) compare(it *item) {
	r, ok := pl.view.resource(it.running)
	if !ok || !r.Can("create") {
		pl.refuseKind(it)
		return
	}
	live := pl.live[it.key]
	switch {
	case pl.deferred(it):
		if live != nil && !ours(live, pl.opts.Migration) {
			pl.foreign(it, r, live)
			return
		}
		pl.summary.Later = append(pl.summary.Later, it.key.String())
	case live == nil:
		pl.create(it, r, false, "the archive holds it and green does not")
	case ours(live, pl.opts.Migration) && contentOf(live) == it.hash:
		if !pl.wake(it, live) {
			pl.summary.Unchanged++
		}
	case ours(live, pl.opts.Migration):
		pl.update(it, r, live, "", "blue's object changed since it was restored")
	case !r.Namespaced && kube.Hash(live) == it.hash:
		pl.summary.Left = append(pl.summary.Left, it.key.String())
	default:
		pl.foreign(it, r, live)
	}
}

func (pl *planner) refuseKind(it *item) {
	pl.plan.Refuse(it.key.String(), "green does not let anybody create objects of this kind", "exclude it from the export, or give green what serves it")
}

// deferred reports whether an object is made at the start rather than now: it has no resting state, or it would judge
// others' writes through a backend that rests (K12).
func (pl *planner) deferred(it *item) bool {
	return it.later || (isAdmissionWebhook(it.key) && pl.backendApp(it) != "")
}

// backendApp returns the application whose resting workloads answer for a webhook.
func (pl *planner) backendApp(it *item) string {
	for _, hook := range digMaps(it.running.Object, "webhooks") {
		service := dig(hook, "clientConfig", "service")
		for _, other := range pl.cargo.items {
			if other.key == (key{"", "Service", digString(service, "namespace"), digString(service, "name")}) &&
				pl.opts.darkOf(other.entry.App) != "read-only" {
				return other.entry.App
			}
		}
	}
	return ""
}

func (pl *planner) create(it *item, r kube.Resource, running bool, why string) {
	pl.summary.Creates++
	t := pl.task(it, r)
	t.Running = running
	pl.plan.Add(plan.Change{
		ID: pl.id(it.key.path()), Action: ActionCreate, Target: "green: " + it.key.String(), App: it.entry.App, Why: why,
		ReliesOn: []plan.Reliance{{What: it.key.String() + " on green", Is: "absent"}},
		Reverse:  &plan.Reverse{Action: ActionDelete, How: "delete it, if it is still this migration's", Data: plan.JSON(t.Target)},
		Data:     plan.JSON(t),
	})
}

func (pl *planner) task(it *item, r kube.Resource) task {
	t := task{Target: targetOf(r, it.running), Entry: &it.entry, Hash: it.hash, Level: it.level, OnePlace: pl.cargo.onePlace}
	if it.entry.Encrypted || it.key.is("", "Secret") {
		t.Hash = it.entry.Hash // never a hash without a key in a plan (I9)
	}
	return t
}

// foreign decides about an object that this migration did not make.
func (pl *planner) foreign(it *item, r kube.Resource, live *unstructured.Unstructured) {
	if it.key.is("", "ServiceAccount") && it.key.Name == "default" {
		pl.update(it, r, live, Update, "green made the namespace's default account; blue's says more")
		return
	}
	owner := "nobody's migration"
	if name := live.GetLabels()[kube.LabelMigration]; name != "" {
		owner = "migration " + name
	}
	if pl.cargo.onePlace && !r.Namespaced {
		pl.summary.Left = append(pl.summary.Left, it.key.String())
		pl.plan.Note(plan.Warning, it.key.String(), "blue and green are one cluster, and it has no namespace: it stays as it is, for both")
		return
	}
	switch pl.opts.Conflicts {
	case Skip:
		pl.summary.Left = append(pl.summary.Left, it.key.String())
		pl.plan.Note(plan.Warning, it.key.String(), "it is on green already ("+owner+") and stays as it is: blue's is not brought over")
	case Update, Adopt:
		if it.key.is("", "Secret") {
			pl.plan.Refuse(it.key.String(), "it is on green already, and a Secret of somebody else's could not be put back, since its content is kept nowhere",
				"delete it on green, label it as this migration's, or skip it")
			return
		}
		pl.update(it, r, live, pl.opts.Conflicts, "it is on green already ("+owner+"), and the policy for conflicts is "+string(pl.opts.Conflicts))
	default:
		pl.plan.Refuse(it.key.String(), "it is on green already and is not this migration's ("+owner+")",
			"restore to an empty namespace, delete it on green, or choose skip, update or adopt for conflicts")
	}
}

func (pl *planner) update(it *item, r kube.Resource, live *unstructured.Unstructured, foreign Policy, why string) {
	pl.summary.Updates++
	t := pl.task(it, r)
	t.Foreign = foreign
	relies, reverse := reliance(it.key, live, foreign), &plan.Reverse{Action: ActionUpdate, How: "write the revision of the archive before this one"}
	if !it.key.is("", "Secret") {
		reverse.How, reverse.Data = "write the content that it had", plan.JSON(kube.Canonical(live).Object)
	}
	pl.plan.Add(plan.Change{
		ID: pl.id(it.key.path()) + "@" + t.Hash[:min(8, len(t.Hash))], Action: ActionUpdate, Target: "green: " + it.key.String(), App: it.entry.App,
		Why: why, ReliesOn: []plan.Reliance{relies}, Reverse: reverse, Data: plan.JSON(t),
	})
}

// reliance is the fact about a live object that a change of it relies on: our content, which controllers do not move, or,
// of what is not ours and of Secrets, the version of the object.
func reliance(k key, live *unstructured.Unstructured, foreign Policy) plan.Reliance {
	if foreign != "" || k.is("", "Secret") {
		return plan.Reliance{What: "resourceVersion of " + k.String(), Is: live.GetResourceVersion()}
	}
	return plan.Reliance{What: "content of " + k.String(), Is: contentOf(live)}
}

func decode[T any](c plan.Change) (T, error) {
	var v T
	if err := json.Unmarshal(c.Data, &v); err != nil {
		return v, fmt.Errorf("read the data of change %s: %w", c.ID, err)
	}
	return v, nil
}

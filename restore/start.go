package restore

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// Levels of a start: what comes first can be relied upon by what follows.
const (
	levelPatches  = iota // the hooks that are patches of an application that rests: it never runs frozen
	levelWorkload        // workloads run, what has no resting state is made
	levelReady
	levelWebhooks      // what judges others' writes, once its backend answers (K12)
	levelJobs     = 60 // what fires by itself comes last (K5)
	levelHooks    = 10 // and up: the hooks that let a read-only application write, one after the other
	levelAgain    = 50 // what the hooks made roll out is ready again
	hooksOfOne    = levelAgain - levelHooks
)

// turnData is the Data of a change that starts or stops one object.
type turnData struct {
	Target target `json:"target"`
	Level  int    `json:"level"`
	Field  string `json:"field"`
	// Value that the field gets; null takes it away, which leaves the API's default.
	Value any `json:"value"`
	// LastRun is when blue's CronJob fired last, as the archive has it. Green makes up what came after, once, by the rules
	// of the CronJob itself, and nothing that blue did.
	LastRun string `json:"lastRun,omitempty"`
	// CronJob says that the object keeps such a time.
	CronJob bool `json:"cronJob,omitempty"`
	// KeepClaims stops a StatefulSet from deleting its claims when it is scaled down.
	KeepClaims bool `json:"keepClaims,omitempty"`
}

// hookData is the Data of a change that runs a hook: where it stands in the migration file, not what it says, since its
// body may hold a secret.
type hookData struct {
	Level int    `json:"level"`
	App   string `json:"app"`
	Leave bool   `json:"leave"`
	Index int    `json:"index"`
	// Rest are the workloads that are put to rest where a hook of the stop finds nobody who answers.
	Rest []target `json:"rest,omitempty"`
}

// PlanStart plans how the applications in Options.Only leave the dark: workloads get the replicas that the archive has, what
// has no resting state is made, all is waited for, admission webhooks follow, then the hooks that let read-only applications
// write, and at last what fires by itself. Apply applies it.
func PlanStart(ctx context.Context, opts Options) (*plan.Plan, error) {
	pl, err := newTurn(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("plan the start: %w", err)
	}
	for _, it := range pl.cargo.items {
		r, ok := pl.view.resource(it.running)
		switch {
		case !ok:
		case it.later && pl.live[it.key] == nil:
			it.level = levelWorkload
			if l, job := leverOf(it.key); job && l.jobs {
				it.level = levelJobs
			}
			pl.create(it, r, true, "it has no resting state: it is made when its application starts")
		case isAdmissionWebhook(it.key) && pl.live[it.key] == nil && slices.Contains(pl.opts.Only, pl.backendApp(it)):
			it.level = levelWebhooks
			pl.create(it, r, true, "its backend answers now")
		default:
			pl.turnOn(it)
		}
	}
	runs := func(it *item) bool { return slices.Contains(pl.opts.Only, it.entry.App) }
	pl.addWait("ready", levelReady, pl.watch(runs))
	for _, app := range pl.apps() {
		if pl.leave(app) {
			pl.addWait("ready-again", levelAgain, pl.watch(runs))
		}
	}
	if err := pl.checkRights(ctx); err != nil {
		return nil, fmt.Errorf("plan the start: %w", err)
	}
	pl.finish()
	return pl.plan, nil
}

// PlanHold plans how applications stop writing and go on serving reads: what fires is suspended, and the hooks of their freeze
// are entered, whatever their dark state. What has no freeze only stops firing. Apply applies it.
func PlanHold(ctx context.Context, opts Options) (*plan.Plan, error) {
	apps := slices.Clone(opts.Applications)
	for i := range apps {
		apps[i].Dark = migration.DarkReadOnly
	}
	opts.Applications, opts.hold = apps, true
	return PlanStop(ctx, opts)
}

// PlanStop plans the reverse of a start: what fires is suspended, read-only applications enter their freeze, all else is
// scaled to 0, what has no resting state is deleted, and the end of the pods is waited for. Apply applies it.
func PlanStop(ctx context.Context, opts Options) (*plan.Plan, error) {
	pl, err := newTurn(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("plan the stop: %w", err)
	}
	var gone []watched
	for _, it := range pl.cargo.items {
		live := pl.live[it.key]
		r, ok := pl.view.resource(it.running)
		if !ok || live == nil || !ours(live, pl.opts.Migration) {
			continue
		}
		webhook := !pl.opts.hold && isAdmissionWebhook(it.key) && slices.Contains(pl.opts.Only, pl.backendApp(it))
		switch {
		case webhook || it.later:
			pl.remove(it.key, madeObject{live, r}, it.entry.App, "green stops: it has no resting state, and the next start makes it again")
			if it.later && isWorkload(it.key) {
				gone = append(gone, watched{Target: targetOf(r, live), Gone: true})
			}
		case pl.turnOff(it, live) && isWorkload(it.key):
			gone = append(gone, watched{Target: targetOf(r, live), Gone: true})
		}
	}
	for _, app := range pl.apps() {
		if app.Dark == migration.DarkReadOnly && app.Freeze != nil {
			var rest []target
			if !pl.opts.hold { // what is held serves users, who would find nobody
				rest = pl.restable(app.Name)
			}
			for i := range app.Freeze.Enter {
				pl.addHook(app, false, i, levelHooks+i, rest...)
			}
		}
	}
	pl.addWait("stopped", lastLevel, gone)
	if err := pl.checkRights(ctx); err != nil {
		return nil, fmt.Errorf("plan the stop: %w", err)
	}
	pl.finish()
	return pl.plan, nil
}

// newTurn reads what a start and a stop need: the archive's objects of the applications, and the webhooks that have none.
func newTurn(ctx context.Context, opts Options) (*planner, error) {
	if len(opts.Only) == 0 {
		for _, app := range opts.Applications {
			opts.Only = append(opts.Only, app.Name)
		}
	}
	opts.webhooks = true
	return newPlanner(ctx, opts)
}

func (pl *planner) apps() []migration.Application {
	var out []migration.Application
	for _, app := range pl.opts.Applications {
		if slices.Contains(pl.opts.Only, app.Name) {
			out = append(out, app)
		}
	}
	return out
}

// leave adds the hooks that let an application write, and reports whether something may roll out again after them. An
// application that rests needs the patches among them only, before it runs: a revision of the archive that was exported
// during the freeze holds what the freeze had patched.
func (pl *planner) leave(app migration.Application) bool {
	if app.Freeze == nil {
		return false
	}
	readOnly, patches := app.Dark == migration.DarkReadOnly, false
	if len(app.Freeze.Leave) > hooksOfOne {
		pl.plan.Refuse("application "+app.Name, fmt.Sprintf("it has more than %d hooks in freeze.leave", hooksOfOne), "join some in one command")
		return false
	}
	for i, h := range app.Freeze.Leave {
		switch {
		case readOnly:
			pl.addHook(app, true, i, levelHooks+i)
		case h.Patch != nil:
			pl.addHook(app, true, i, levelPatches)
		}
		patches = patches || h.Patch != nil
	}
	return readOnly && patches
}

func (pl *planner) addHook(app migration.Application, leave bool, index, level int, rest ...target) {
	list, word, why := app.Freeze.Enter, "enter", "green stops: it may not write any more"
	if leave {
		list, word, why = app.Freeze.Leave, "leave", "it is green's turn: it may write"
	}
	pl.plan.Add(plan.Change{
		ID: pl.id("hook", app.Name, word, fmt.Sprint(index)), Action: ActionHook, App: app.Name, Why: why,
		Target:  fmt.Sprintf("green: freeze.%s[%d] of %s: %s", word, index, app.Name, hook.Describe(list[index])),
		Reverse: &plan.Reverse{Action: ActionHook, How: "run the freeze's hooks of the other direction"},
		Data:    plan.JSON(hookData{Level: level, App: app.Name, Leave: leave, Index: index, Rest: rest}),
	})
}

// ErrHook says that a hook of the migration file did not do its work on green.
var ErrHook = errors.New("run the hook")

func (w *writer) runHook(ctx context.Context, c plan.Change) (any, error) {
	data, err := decode[hookData](c)
	if err != nil {
		return nil, err
	}
	app, ok := w.opts.app(data.App)
	if !ok || app.Freeze == nil {
		return nil, &plan.MovedError{Change: c.ID, What: "the freeze of application " + data.App, Was: "declared", Now: "gone"}
	}
	list := app.Freeze.Enter
	if data.Leave {
		list = app.Freeze.Leave
	}
	if data.Index >= len(list) {
		return nil, &plan.MovedError{Change: c.ID, What: "the hooks of application " + data.App, Was: "there", Now: "fewer"}
	}
	runner := hook.Runner{
		Kube: w.opts.Green, Namespace: namespaceMap(w.opts.Maps.Namespaces).of(app.Namespace), Selector: app.Selector,
		HTTP: w.opts.HTTP, Dir: w.opts.Dir, Log: w.opts.Log, Clock: w.opts.Clock,
	}
	out, err := runner.Run(ctx, list[data.Index])
	if err != nil && len(data.Rest) > 0 && ctx.Err() == nil {
		return w.restInstead(ctx, data, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHook, err)
	}
	return out, nil
}

// turnOn plans to give an object that rests what the archive has.
func (pl *planner) turnOn(it *item) {
	l, ok := leverOf(it.key)
	if !ok {
		return
	}
	live := pl.live[it.key]
	want := dig(it.running.Object, "spec")[l.field]
	switch {
	case live != nil && !ours(live, pl.opts.Migration) && (pl.opts.Conflicts == Skip || pl.opts.Conflicts == Update):
		pl.summary.Left = append(pl.summary.Left, it.key.String())
		return
	case live == nil || !ours(live, pl.opts.Migration):
		pl.plan.Refuse(it.key.String(), "it is to be started, and green does not have it as this migration made it", "restore first")
		return
	case !resting(l, live) || sameState(l, want, l.off):
		pl.summary.Unchanged++
		return
	}
	level, run := levelWorkload, ""
	if l.jobs {
		level, run = levelJobs, digString(it.blue.Object, "status", "lastScheduleTime")
	}
	pl.turnChange(it, live, ActionStart, turnData{
		Level: level, Field: l.field, Value: want, LastRun: run, CronJob: it.key.is("batch", "CronJob"),
	}, "it is green's turn: it gets what the archive has", "put it to rest again")
}

// turnOff plans to put an object to rest, and reports whether it has something to do.
func (pl *planner) turnOff(it *item, live *unstructured.Unstructured) bool {
	l, ok := leverOf(it.key)
	if !ok || resting(l, live) || (!l.jobs && pl.opts.darkOf(it.entry.App) == migration.DarkReadOnly) {
		return false
	}
	level := lastLevel - 1
	if l.jobs {
		level = 0
	}
	pl.turnChange(it, live, ActionStop, turnData{
		Level: level, Field: l.field, Value: l.off,
		KeepClaims: digString(live.Object, "spec", "persistentVolumeClaimRetentionPolicy", "whenScaled") == "Delete",
	}, "green stops, and is kept", "start it again as the archive has it")
	return true
}

func (pl *planner) turnChange(it *item, live *unstructured.Unstructured, action plan.Action, data turnData, why, reverse string) {
	r, _ := pl.view.resource(it.running)
	data.Target = targetOf(r, it.running)
	back := plan.JSON(map[string]any{data.Field: dig(live.Object, "spec")[data.Field]})
	pl.plan.Add(plan.Change{
		ID: pl.id(it.key.path()), Action: action, Target: "green: " + it.key.String(), App: it.entry.App, Why: why,
		ReliesOn: []plan.Reliance{{What: "content of " + it.key.String(), Is: contentOf(live)}},
		Reverse:  &plan.Reverse{Action: action, How: reverse, Data: back}, Data: plan.JSON(data),
	})
}

// resting reports whether an object is off. A missing number of replicas is one, a missing suspend is false.
func resting(l lever, obj *unstructured.Unstructured) bool {
	return sameState(l, dig(obj.Object, "spec")[l.field], l.off)
}

func sameState(l lever, a, b any) bool {
	norm := func(v any) any {
		switch {
		case v == nil && l.jobs:
			return false
		case v == nil:
			return int64(1)
		}
		if f, ok := v.(float64); ok {
			return int64(f)
		}
		return v
	}
	return reflect.DeepEqual(norm(a), norm(b))
}

// turn starts or stops one object.
func (w *writer) turn(ctx context.Context, c plan.Change) (any, error) {
	var data turnData
	if err := utiljson.Unmarshal(c.Data, &data); err != nil { // whole numbers stay whole
		return nil, fmt.Errorf("read the data of change %s: %w", c.ID, err)
	}
	k, at := data.Target.key(), w.opts.Green.At(data.Target.resource(), data.Target.Namespace)
	l, _ := leverOf(k)
	live, err := at.Get(ctx, data.Target.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, &plan.MovedError{Change: c.ID, What: k.String() + " on green", Was: "there", Now: "absent"}
	}
	if err != nil {
		return nil, fmt.Errorf("read it: %w", err)
	}
	if !ours(live, w.opts.Migration) || contentOf(live) != c.ReliesOn[0].Is {
		return nil, &plan.MovedError{Change: c.ID, What: c.ReliesOn[0].What, Was: c.ReliesOn[0].Is, Now: describe(live, w.opts.Migration)}
	}
	did := didStart
	if c.Action == ActionStop {
		did = didStop
	}
	if c.Action == ActionStart && !resting(l, live) || c.Action == ActionStop && resting(l, live) {
		return wrote{didFind, string(live.GetUID())}, nil
	}
	if data.CronJob && c.Action == ActionStart {
		if err := w.setLastRun(ctx, data); err != nil {
			return nil, err
		}
	}
	spec := map[string]any{data.Field: data.Value}
	if data.KeepClaims {
		spec["persistentVolumeClaimRetentionPolicy"] = map[string]any{"whenScaled": "Retain"}
	}
	_, err = retry(ctx, w.opts, func() (*unstructured.Unstructured, error) {
		return at.Patch(ctx, data.Target.Name, types.MergePatchType, plan.JSON(map[string]any{"spec": spec}), metav1.PatchOptions{FieldManager: "crossfade"})
	})
	if err != nil {
		return nil, fmt.Errorf("set its %s: %w", data.Field, err)
	}
	return wrote{did, string(live.GetUID())}, nil
}

// setLastRun tells green's controller when the job fired last. Without it, the controller takes the whole time since the
// object was made as missed, and fires at once what blue has done already. Where the archive does not know, now counts:
// nothing is made up.
func (w *writer) setLastRun(ctx context.Context, data turnData) error {
	last := data.LastRun
	if last == "" {
		last = w.opts.Clock.Now().UTC().Format(time.RFC3339)
	}
	body := plan.JSON(map[string]any{"status": map[string]any{"lastScheduleTime": last}})
	at := w.opts.Green.At(data.Target.resource(), data.Target.Namespace)
	_, err := retry(ctx, w.opts, func() (*unstructured.Unstructured, error) {
		return at.Patch(ctx, data.Target.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: "crossfade"}, "status")
	})
	if err != nil {
		return fmt.Errorf("set the time of its last run: %w", err)
	}
	return nil
}

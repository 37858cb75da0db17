package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Actions of a freeze's plan.
const (
	ActionSuspend plan.Action = "suspend"
	ActionScale   plan.Action = "scale to 0"
	ActionWait    plan.Action = "wait"
	ActionFreeze  plan.Action = "freeze"
	ActionThaw    plan.Action = "thaw"
)

// defaultWait is how long jobs may take to finish and pods to end, unless FreezeOptions say otherwise.
const defaultWait = 10 * time.Minute

// FreezeOptions say which application's writes are stopped.
type FreezeOptions struct {
	Migration string
	// Stage prefixes the IDs of the changes. Default "freeze/APPLICATION".
	Stage string
	Blue  *kube.Client
	// App is the application; Applications are all of the migration, in the order of the file.
	App          migration.Application
	Applications []migration.Application
	// Wait is how long jobs may take to finish and pods to end. Default ten minutes.
	Wait time.Duration
	// Settle is how long the probe waits for pods that are just starting or ending. Default one minute.
	Settle time.Duration

	// HTTP and Dir are for hooks.
	HTTP *http.Client
	Dir  string

	Log      *slog.Logger
	Clock    clock.Clock
	Observer plan.Observer
}

func (o FreezeOptions) stage() string {
	if o.Stage == "" {
		return "freeze/" + o.App.Name
	}
	return o.Stage
}

func (o FreezeOptions) wait() time.Duration {
	if o.Wait == 0 {
		return defaultWait
	}
	return o.Wait
}

func (o FreezeOptions) clock() clock.Clock {
	if o.Clock == nil {
		return clock.System{}
	}
	return o.Clock
}

func (o FreezeOptions) runner() hook.Runner {
	return hook.Runner{
		Kube: o.Blue, Namespace: o.App.Namespace, Selector: o.App.Selector,
		HTTP: o.HTTP, Dir: o.Dir, Log: o.Log, Clock: o.Clock, Settle: o.Settle,
	}
}

// freezeData is what ApplyFreeze and Thaw consume. One of its parts is set.
type freezeData struct {
	// Workload is stopped by setting its Stopped fields.
	Workload *Original `json:"workload,omitempty"`
	// Hooks are what the patches of the entering hooks will replace, by their place in the file.
	Hooks []hookData `json:"hooks,omitempty"`
	// Await names what must have ended.
	Await *await `json:"await,omitempty"`
}

type hookData struct {
	Enter int `json:"enter"`
	// Original is set for patches.
	Original *Original `json:"original,omitempty"`
}

type await struct {
	// CronJobs whose running jobs must finish, and Workloads whose pods must be gone, by UID.
	CronJobs  map[string]string `json:"cronJobs,omitempty"`
	Workloads map[string]string `json:"workloads,omitempty"`
	Limit     string            `json:"limit"`
}

// PlanFreeze reads what has to be stopped so that the application writes nothing on blue, and what each thing was before.
//
//	writes    CronJobs   Jobs      workloads    hooks
//	none      suspended  -         -            -
//	freeze    suspended  -         -            entered, then a write is tried
//	quiesce   suspended  suspended scaled to 0  -
//
// CronJobs are suspended in any case: at most one side fires them (I7). What would undo a stop behind our back is refused by
// name (K3), and a StatefulSet that deletes its claims when scaled down (K4).
//
// The plan holds what everything was before. It has to be kept until the thaw: planned again while the freeze is in force,
// what is stopped would pass for what its owner wants.
func PlanFreeze(ctx context.Context, opts FreezeOptions) (*plan.Plan, error) {
	p := plan.New(opts.Migration, opts.stage())
	found, err := findWorkloads(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("plan the freeze of %s: %w", opts.App.Name, err)
	}
	stop := found.toStop(opts.App.Writes)
	for _, w := range stop {
		refuseUnsafe(p, found, w)
		p.Add(stopChange(opts, w))
	}
	if opts.App.Writes == migration.WritesQuiesce {
		found.refuseRest(p)
	}
	if w := awaited(opts, found); len(w.CronJobs)+len(w.Workloads) > 0 {
		p.Add(waitChange(opts, w))
	}
	if opts.App.Writes == migration.WritesFreeze {
		planHooks(ctx, p, opts)
	}
	if len(p.Changes) == 0 {
		p.Note(plan.Info, opts.App.Name, "nothing has to be stopped")
	}
	return p, refuseRights(ctx, p, opts, stop)
}

func stopChange(opts FreezeOptions, w workload) plan.Change {
	o := w.original()
	action, why := ActionScale, "it must not write on blue once green may, and it has no other way to stop"
	if w.suspends() {
		action, why = ActionSuspend, "at most one side fires it"
	}
	return plan.Change{
		ID:     fmt.Sprintf("%s/stop/%s/%s/%s", opts.stage(), w.res.Kind, w.obj.GetNamespace(), w.obj.GetName()),
		Action: action, Target: "blue: " + o.String(), App: opts.App.Name, Why: why,
		ReliesOn: []plan.Reliance{{What: o.String() + "'s uid", Is: o.UID}, {What: o.String() + "'s " + w.field(), Is: showFields(o.Fields)}},
		Reverse:  &plan.Reverse{Action: ActionThaw, How: "set " + w.field() + " back to " + showFields(o.Fields), Data: plan.JSON(o)},
		Data:     plan.JSON(freezeData{Workload: &o}),
	}
}

func waitChange(opts FreezeOptions, w await) plan.Change {
	return plan.Change{
		ID: opts.stage() + "/wait", Action: ActionWait, App: opts.App.Name,
		Target: fmt.Sprintf("blue: until the jobs of %d CronJobs have finished and the pods of %d workloads are gone", len(w.CronJobs), len(w.Workloads)),
		Why:    "what still runs may still write; it changes nothing, so there is nothing to take back",
		Data:   plan.JSON(freezeData{Await: &w}),
	}
}

// planHooks adds one change for all hooks and the probe: a freeze is entered as a whole or not at all.
func planHooks(ctx context.Context, p *plan.Plan, opts FreezeOptions) {
	f := opts.App.Freeze
	if f == nil || len(f.Enter) == 0 || len(f.Leave) == 0 || f.Probe == nil {
		p.Refuse("application "+opts.App.Name, "writes: freeze needs freeze.enter, freeze.leave and freeze.probe", "declare them, or use writes: quiesce")
		return
	}
	var data freezeData
	var relies []plan.Reliance
	run := opts.runner()
	for i, h := range f.Enter {
		d := hookData{Enter: i}
		if h.Patch != nil {
			before, err := run.Before(ctx, h)
			if err != nil {
				p.Refuse("freeze.enter of "+opts.App.Name, err.Error(), "correct the patch, or blue's object")
				continue
			}
			d.Original = &Original{
				Group: h.Patch.Group, Kind: h.Patch.Kind, Namespace: opts.App.Namespace, Name: h.Patch.Name, Fields: before.Replaced,
			}
			relies = append(relies, plan.Reliance{What: d.Original.String(), Is: showFields(before.Replaced)})
		}
		data.Hooks = append(data.Hooks, d)
	}
	for _, h := range append(slices.Clone(f.Enter), f.Leave...) {
		refuseNobody(ctx, p, run, h)
	}
	p.Add(plan.Change{
		ID: opts.stage() + "/enter", Action: ActionFreeze, Target: "blue: writes of " + opts.App.Name, App: opts.App.Name,
		Why:      "no write may be lost between the last sync and green's first; a tried write proves it",
		ReliesOn: relies, Data: plan.JSON(data),
		Reverse: &plan.Reverse{Action: ActionThaw, How: "put the patched fields back and run the hooks of freeze.leave", Data: plan.JSON(data)},
	})
}

// refuseNobody refuses a hook that would ask no pod.
func refuseNobody(ctx context.Context, p *plan.Plan, run hook.Runner, h migration.Hook) {
	if h.HTTP == nil || h.HTTP.Pods == nil {
		return
	}
	if err := run.Reach(ctx, *h.HTTP.Pods); err != nil {
		p.Refuse("hook: "+hook.Describe(h), err.Error(), "correct the selector, or start the application on blue")
	}
}

// refuseRights asks for every right that the freeze and its reverse need.
func refuseRights(ctx context.Context, p *plan.Plan, opts FreezeOptions, stop []workload) error {
	var need []kube.Right
	for _, w := range stop {
		need = append(need, kube.Right{Side: side, Namespace: opts.App.Namespace, Group: w.res.Group, Resource: w.res.Resource, Verbs: []string{"get", "patch"}, Why: "freeze"})
	}
	if f := opts.App.Freeze; f != nil && opts.App.Writes == migration.WritesFreeze {
		for _, h := range append(slices.Clone(f.Enter), f.Leave...) {
			more, err := opts.runner().Rights(ctx, h, side, "freeze", isEntered(f, h))
			if errors.Is(err, kube.ErrNotServed) {
				continue // refused with the patch
			}
			if err != nil {
				return err
			}
			need = append(need, more...)
		}
	}
	missing, err := opts.Blue.Holds(ctx, kube.Rules(need)...)
	if err != nil {
		return err
	}
	for _, m := range missing {
		p.Refuse(m.String(), "blue's user may not", "give it the right: crossfade doctor --rbac --side blue prints all that are needed")
	}
	slices.SortFunc(p.Refusals, func(a, b plan.Refusal) int { return strings.Compare(a.What, b.What) })
	return nil
}

// isEntered reports whether a hook patches an object that a hook of freeze.enter patches: what that replaced is written back.
func isEntered(f *migration.Freeze, h migration.Hook) bool {
	return h.Patch != nil && slices.ContainsFunc(f.Enter, func(e migration.Hook) bool {
		return e.Patch != nil && e.Patch.Group == h.Patch.Group && e.Patch.Kind == h.Patch.Kind && e.Patch.Name == h.Patch.Name
	})
}

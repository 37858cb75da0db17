package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/internal/plan"
)

const (
	actionPause plan.Action = "scale to 0"
	actionGone  plan.Action = "wait for the pods of"
)

// goneLimit is how long the pods of a paused external-dns may take to end.
const goneLimit = 5 * time.Minute

// Paused is a Deployment of external-dns that a migration scales to 0, with what it was.
type Paused struct {
	Side      string `json:"side"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// Replicas that it had.
	Replicas int32 `json:"replicas"`
}

// String is the Deployment as a person names it.
func (p Paused) String() string { return p.named().String() }

func (p Paused) named() deploymentName { return deploymentName{p.Side, p.Namespace, p.Name} }

// Same reports whether two are one Deployment.
func (p Paused) Same(other Paused) bool { return p.named() == other.named() && p.UID == other.UID }

func (p Paused) id(stage, what string) string {
	return fmt.Sprintf("%s/%s/%s/%s/%s", stage, what, p.Side, p.Namespace, p.Name)
}

// pauseOutcome is what pausing one leaves.
type pauseOutcome struct {
	Paused Paused `json:"paused"`
	// Found says that it stood still already.
	Found bool `json:"found,omitempty"`
}

// planPauses plans to scale to 0 what the file names, and to wait until its pods are gone. It comes before every other change of
// the stage: a lowered TTL is the first that external-dns could undo.
func planPauses(ctx context.Context, opts Options, p *plan.Plan) error {
	var pauses, waits []plan.Change
	var seen []string
	for _, n := range opts.named() {
		d, err := opts.readKeeper(ctx, n)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if !slices.ContainsFunc(p.Refusals, func(r plan.Refusal) bool { return r.What == n.String() }) {
				why, mend := refusalOf(err)
				p.Refuse(n.String(), why, mend)
			}
			continue
		}
		if slices.Contains(seen, string(d.UID)) {
			p.Note(plan.Info, n.String(), "it is one with blue's: both sides are one cluster")
			continue
		}
		seen = append(seen, string(d.UID))
		was := Paused{Side: n.Side, Namespace: n.Namespace, Name: n.Name, UID: string(d.UID), Replicas: replicasOf(*d)}
		if was.Replicas == 0 {
			// Where an earlier plan of this migration has stopped it, that one knew how many there were.
			if i := slices.IndexFunc(opts.Paused, was.Same); i >= 0 {
				was = opts.Paused[i]
			} else {
				p.Note(plan.Info, n.String(), "it stands still already, and stays so: whoever stopped it starts it again")
			}
		}
		if was.Replicas > 0 {
			pauses = append(pauses, pauseChange(p.Stage, was))
		}
		waits = append(waits, goneChange(p.Stage, was))
	}
	for _, c := range slices.Concat(pauses, waits) {
		p.Add(c)
	}
	return nil
}

func pauseChange(stage string, was Paused) plan.Change {
	return plan.Change{
		ID: was.id(stage, "pause"), Action: actionPause, Target: was.String(),
		Why: "external-dns would put back what the migration changes of the names; the file names it under cutover.externalDNS.pause. While it stands still, it keeps no name at all, " +
			"also none that is not the migration's",
		ReliesOn: []plan.Reliance{{What: was.String() + "'s uid", Is: was.UID}, {What: was.String() + "'s replicas", Is: fmt.Sprint(was.Replicas)}},
		Reverse: &plan.Reverse{
			Action: actionResume, How: fmt.Sprintf("scale it to %d again, once all names are back at blue, unless somebody has changed it meanwhile", was.Replicas), Data: plan.JSON(was),
		},
		Data: plan.JSON(was),
	}
}

func goneChange(stage string, was Paused) plan.Change {
	return plan.Change{
		ID: was.id(stage, "gone"), Action: actionGone, Target: was.String(),
		Why:  fmt.Sprintf("an external-dns that is ending may still write: its pods are gone within %s, or no name is touched; nothing is changed, so nothing is taken back", goneLimit),
		Data: plan.JSON(was),
	}
}

// pause scales one Deployment to 0, if it is the one of the plan and has the replicas of the plan. What it had is told first,
// and kept, so that a kill at any point leaves a way back.
func (o Options) pause(ctx context.Context, c plan.Change) (pauseOutcome, error) {
	var was Paused
	if err := json.Unmarshal(c.Data, &was); err != nil {
		return pauseOutcome{}, fmt.Errorf("read the plan: %w", err)
	}
	out := pauseOutcome{Paused: was}
	for range setTries {
		d, err := o.readKeeper(ctx, was.named())
		if err != nil {
			return out, err
		}
		if string(d.UID) != was.UID {
			return out, &plan.MovedError{Change: c.ID, What: was.String() + "'s uid", Was: was.UID, Now: string(d.UID)}
		}
		now := replicasOf(*d)
		if now == 0 {
			out.Found = true // by an earlier try, or by somebody else, who starts it again then
			return out, nil
		}
		if now != was.Replicas {
			return out, &plan.MovedError{Change: c.ID, What: was.String() + "'s replicas", Was: fmt.Sprint(was.Replicas), Now: fmt.Sprint(now)}
		}
		if o.Pausing != nil {
			if err := o.Pausing(was); err != nil {
				return out, err
			}
		}
		if err = o.scale(ctx, d, was.named(), 0); !apierrors.IsConflict(err) {
			return out, err
		}
	}
	return out, changing(was)
}

// setTries bounds how often a write is tried again when the object changes between reading and writing.
const setTries = 10

func changing(was Paused) error {
	return fmt.Errorf("%s changed under us %d times in a row: something else writes to it all the time", was, setTries)
}

// scale sets the replicas and nothing else, by the subresource that can do no more, on the condition that the Deployment is the one
// that was read.
func (o Options) scale(ctx context.Context, d *appsv1.Deployment, n deploymentName, replicas int32) error {
	_, err := o.side(n.Side).Kube.Typed.AppsV1().Deployments(n.Namespace).UpdateScale(ctx, n.Name, &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: n.Namespace, Name: n.Name, UID: d.UID, ResourceVersion: d.ResourceVersion},
		Spec:       autoscalingv1.ScaleSpec{Replicas: replicas},
	}, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("scale %s to %d: %w", n, replicas, err)
	}
	return nil
}

// waitGone waits until nothing of a paused Deployment runs any more.
func (o Options) waitGone(ctx context.Context, c plan.Change) error {
	var was Paused
	if err := json.Unmarshal(c.Data, &was); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	limit := o.now().Add(goneLimit)
	var said time.Time
	for {
		left, err := o.running(ctx, was.named())
		if err != nil {
			return err
		}
		if left.replicas > 0 {
			return &plan.MovedError{Change: c.ID, What: was.String() + "'s replicas", Was: "0", Now: fmt.Sprint(left.replicas)}
		}
		if left.String() == "" {
			return nil
		}
		now := o.now()
		if !now.Before(limit) {
			return &Error{
				Op: "pause external-dns", Err: fmt.Errorf("%s was scaled to 0 and %s after %s", was, left, goneLimit),
				Hint: "see to it that its pods end: while one is left, it may write; then go on with the same command",
			}
		}
		if now.Sub(said) >= sayEvery {
			o.log().InfoContext(ctx, "waiting", "for", "the pods of "+was.String(), "because", left.String()+", and an external-dns that is ending may still write", "until", limit.Format(time.TimeOnly))
			said = now
		}
		if err := o.clock().Sleep(ctx, time.Second); err != nil {
			return fmt.Errorf("wait for the pods of %s: %w", was, err)
		}
	}
}

// runs is what of a Deployment runs.
type runs struct {
	replicas int32
	pods     []string
	// unseen says that the Deployment's controller has not yet acted on its latest change.
	unseen bool
}

// String says what runs; empty where nothing does.
func (r runs) String() string {
	switch {
	case r.replicas > 0:
		return fmt.Sprintf("it has %d replicas", r.replicas)
	case len(r.pods) > 0:
		return "still has the pods " + strings.Join(r.pods, ", ")
	case r.unseen:
		return "its controller has not seen that yet"
	}
	return ""
}

// running reads what of a Deployment runs. A pod that is ending runs. A Deployment that is gone runs nothing.
func (o Options) running(ctx context.Context, n deploymentName) (runs, error) {
	d, err := o.readKeeper(ctx, n)
	if errors.Is(err, errNoDeployment) {
		return runs{}, nil
	}
	if err != nil {
		return runs{}, err
	}
	// Where no controller has ever looked at it, none has made a pod.
	looked := d.Status.ObservedGeneration != 0
	r := runs{replicas: replicasOf(*d), unseen: looked && (d.Status.ObservedGeneration < d.Generation || d.Status.Replicas > 0)}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return runs{}, fmt.Errorf("read the selector of %s: %w", n, err)
	}
	opts := metav1.ListOptions{LabelSelector: selector.String(), Limit: listPage}
	for d.Spec.Selector != nil {
		list, err := o.side(n.Side).Kube.Typed.CoreV1().Pods(n.Namespace).List(ctx, opts)
		if err != nil {
			return runs{}, fmt.Errorf("list the pods of %s: %w", n, err)
		}
		for _, pod := range list.Items {
			if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
				r.pods = append(r.pods, pod.Name)
			}
		}
		if opts.Continue = list.Continue; opts.Continue == "" {
			break
		}
	}
	return r, nil
}

// standingStill is what a swap relies on of each Deployment that the file names.
const standingStill = "paused: at 0 replicas, without a pod"

// relyOnPause is what every change that leads a name to green relies on.
func (o Options) relyOnPause() []plan.Reliance {
	var list []plan.Reliance
	for _, n := range o.named() {
		list = append(list, plan.Reliance{What: n.String(), Is: standingStill})
	}
	return list
}

// standsStill demands that what the file names under pause still stands still: an autoscaler, GitOps or a person may have started it
// since. What cannot be read is no proof of it (I8).
func (o Options) standsStill(ctx context.Context, id string) error {
	for _, n := range o.named() {
		left, err := o.running(ctx, n)
		if err != nil {
			return fmt.Errorf("look whether external-dns still stands still: %w", err)
		}
		if left.String() != "" {
			return &Error{Op: "external-dns runs again", Hint: mendRunsAgain, Err: &plan.MovedError{Change: id, What: n.String(), Was: standingStill, Now: left.String()}}
		}
	}
	return nil
}

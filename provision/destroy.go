package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const (
	// terminateLimit is how long a namespace may take to be gone.
	terminateLimit = 10 * time.Minute
	terminatePoll  = time.Second
)

// Permit is what lets blue be destroyed (I10). The caller makes one from a retirement certificate that holds now.
type Permit struct {
	// Certificate is the certificate's hash.
	Certificate string
	// Blue is the uid of the cluster that was certified.
	Blue string
	// Confirmed is the migration's name as a person typed it.
	Confirmed string
}

// DestroyOptions say what is destroyed.
type DestroyOptions struct {
	Migration string
	Stage     string
	Blue      *kube.Client
	// Namespaces that the migration file names for deletion, as blue calls them.
	Namespaces []string
	Permit     Permit

	Log      *slog.Logger
	Clock    clock.Clock
	Observer plan.Observer
}

// DestroyResult is what is gone.
type DestroyResult struct {
	Namespaces []string `json:"namespaces"`
	// Retained are the PersistentVolumes that outlive their claims.
	Retained []string `json:"retained,omitempty"`
}

// destroyData is what one change of a destruction consumes.
type destroyData struct {
	Namespace string    `json:"namespace,omitempty"`
	Volume    string    `json:"volume,omitempty"`
	UID       types.UID `json:"uid"`
}

// PlanDestroy lists what would go: each namespace by its uid, and before it every PersistentVolume that its claims hold,
// which is set to Retain. There is no way back from a deletion.
func PlanDestroy(ctx context.Context, opts DestroyOptions) (*plan.Plan, error) {
	p := plan.New(opts.Migration, opts.Stage)
	volumes, err := opts.Blue.Typed.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list blue's volumes: %w", err)
	}
	for _, name := range opts.Namespaces {
		if name == metav1.NamespaceDefault || strings.HasPrefix(name, "kube-") {
			p.Refuse("namespace "+name, "it belongs to the cluster", "name namespaces of applications only")
			continue
		}
		ns, err := opts.Blue.Typed.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			p.Note(plan.Info, "namespace "+name, "it is gone already")
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read namespace %s on blue: %w", name, err)
		}
		for _, v := range volumes.Items {
			if ref := v.Spec.ClaimRef; ref == nil || ref.Namespace != name || v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain {
				continue
			}
			p.Add(retain(p.Stage, v))
		}
		p.Add(plan.Change{
			ID: p.Stage + "/namespace/" + name, Action: ActionDelete, Target: "blue: Namespace " + name,
			Why:      "retirement.delete names it, and the certificate says that nobody uses it; there is no way back",
			ReliesOn: []plan.Reliance{{What: "uid of Namespace " + name, Is: string(ns.UID)}},
			Data:     plan.JSON(destroyData{Namespace: name, UID: ns.UID}),
		})
	}
	return p, nil
}

func retain(stage string, v corev1.PersistentVolume) plan.Change {
	was := v.Spec.PersistentVolumeReclaimPolicy
	return plan.Change{
		ID: stage + "/volume/" + v.Name, Action: ActionRetain, Target: "blue: PersistentVolume " + v.Name,
		Why:      fmt.Sprintf("its policy is %s: deleting the claim would delete the data", was),
		ReliesOn: []plan.Reliance{{What: "uid of PersistentVolume " + v.Name, Is: string(v.UID)}},
		Reverse:  &plan.Reverse{Action: ActionRetain, How: "set the policy to " + string(was) + " again", Data: plan.JSON(was)},
		Data:     plan.JSON(destroyData{Volume: v.Name, UID: v.UID}),
	}
}

// Destroy carries the plan out. It refuses without a permit for this migration and this very cluster.
func Destroy(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts DestroyOptions) (DestroyResult, error) {
	if err := permitted(ctx, opts); err != nil {
		return DestroyResult{}, err
	}
	var result DestroyResult
	err := plan.Run(ctx, p, rec, plan.RunOptions{Observer: opts.Observer}, func(ctx context.Context, c plan.Change) (any, error) {
		var data destroyData
		if err := json.Unmarshal(c.Data, &data); err != nil {
			return nil, fmt.Errorf("read the plan: %w", err)
		}
		switch c.Action {
		case ActionRetain:
			return struct{}{}, retainVolume(ctx, opts, c, data)
		case ActionDelete:
			if !slices.Contains(opts.Namespaces, data.Namespace) {
				return nil, &plan.MovedError{Change: c.ID, What: "retirement.delete", Was: "names " + data.Namespace, Now: "does not"}
			}
			return struct{}{}, deleteNamespace(ctx, opts, c, data)
		}
		return nil, fmt.Errorf("a plan of a destruction has no %q", c.Action)
	})
	for _, c := range p.Changes {
		var data destroyData
		if _, done := rec.Done(c.ID); !done || json.Unmarshal(c.Data, &data) != nil {
			continue
		}
		if data.Volume != "" {
			result.Retained = append(result.Retained, data.Volume)
		} else {
			result.Namespaces = append(result.Namespaces, data.Namespace)
		}
	}
	return result, err
}

func permitted(ctx context.Context, opts DestroyOptions) error {
	const op = "destroy blue"
	if opts.Permit.Certificate == "" {
		return &Error{Op: op, Hint: "run the migration to its end: the certificate is made once blue is idle"}
	}
	if opts.Migration == "" || opts.Permit.Confirmed != opts.Migration {
		return &Error{Op: op, Hint: fmt.Sprintf("type the migration's name to confirm: --confirm %s", opts.Migration)}
	}
	id, err := opts.Blue.Identity(ctx)
	if err != nil {
		return fmt.Errorf("ask blue who it is: %w", err)
	}
	if id.UID == "" || id.UID != opts.Permit.Blue {
		return &Error{Op: op, Err: fmt.Errorf("the certificate is for cluster %s, and blue is %s", opts.Permit.Blue, id.UID), Hint: "point blue at the cluster that was certified"}
	}
	return nil
}

func retainVolume(ctx context.Context, opts DestroyOptions, c plan.Change, data destroyData) error {
	v, err := opts.Blue.Typed.CoreV1().PersistentVolumes().Get(ctx, data.Volume, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the volume: %w", err)
	}
	if v.UID != data.UID {
		return &plan.MovedError{Change: c.ID, What: "uid of PersistentVolume " + data.Volume, Was: string(data.UID), Now: string(v.UID)}
	}
	patch := fmt.Sprintf(`{"metadata":{"uid":%q},"spec":{"persistentVolumeReclaimPolicy":"Retain"}}`, data.UID)
	_, err = opts.Blue.Typed.CoreV1().PersistentVolumes().Patch(ctx, data.Volume, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// deleteNamespace deletes the very namespace of the plan and waits until it is gone.
func deleteNamespace(ctx context.Context, opts DestroyOptions, c plan.Change, data destroyData) error {
	namespaces := opts.Blue.Typed.CoreV1().Namespaces()
	now := orSystem(opts.Clock).Now
	limit := now().Add(terminateLimit)
	var said time.Time
	for {
		ns, err := namespaces.Get(ctx, data.Namespace, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return fmt.Errorf("read the namespace: %w", err)
		case ns.UID != data.UID:
			return &plan.MovedError{Change: c.ID, What: "uid of Namespace " + data.Namespace, Was: string(data.UID), Now: string(ns.UID)}
		case ns.DeletionTimestamp == nil:
			err := namespaces.Delete(ctx, data.Namespace, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &data.UID}})
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("delete the namespace: %w", err)
			}
		case now().After(limit):
			return &Error{Op: "wait until namespace " + data.Namespace + " is gone", Err: fmt.Errorf("it still terminates after %s: %s", terminateLimit, why(ns)),
				Hint: "remove what holds it, then run retire again; finalizers are not taken away for you"}
		case now().Sub(said) >= sayEvery:
			orDiscard(opts.Log).InfoContext(ctx, "waiting until the namespace is gone", "namespace", data.Namespace, "state", why(ns), "until", limit.Format(time.TimeOnly))
			said = now()
		}
		if err := orSystem(opts.Clock).Sleep(ctx, terminatePoll); err != nil {
			return err
		}
	}
}

// why says what holds a namespace that terminates, in the API server's words.
func why(ns *corev1.Namespace) string {
	var reasons []string
	for _, c := range ns.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			reasons = append(reasons, c.Message)
		}
	}
	if len(reasons) == 0 {
		return "its objects are being deleted"
	}
	return strings.Join(reasons, "; ")
}

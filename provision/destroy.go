package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Certificate is what must be shown before anything of blue is deleted (I10).
type Certificate struct {
	// Hash of the retirement certificate, in hexadecimal.
	Hash string
	// Typed is the migration's name as somebody typed it to confirm.
	Typed string
}

// DestroyOptions say what of blue is deleted.
type DestroyOptions struct {
	Options
	Certificate Certificate
	// Delete names the namespaces, as the migration file does.
	Delete []string
	// Archived holds what the archive has of blue, as "group/Kind/namespace/name". A namespace that runs anything else is not deleted.
	Archived map[string]bool
	// Deleting keeps, before the wait until a namespace is gone, that its deletion was not refused. Nil keeps nothing.
	Deleting func(changeID string) error
	// Limit is how long a namespace may take to go. Default 10m.
	Limit time.Duration
}

// retainData is the Data of a change that keeps a volume.
type retainData struct {
	Name   string `json:"name"`
	UID    string `json:"uid"`
	Policy string `json:"policy"`
}

// deleteData is the Data of a change that deletes a namespace.
type deleteData struct {
	Name        string `json:"name"`
	UID         string `json:"uid"`
	Certificate string `json:"certificate"`
}

// ErrNotConfirmed says that blue is not destroyed without its certificate and the migration's name.
var ErrNotConfirmed = errors.New("blue is not destroyed without a retirement certificate and the migration's name typed")

func (o DestroyOptions) withDefaults() (DestroyOptions, error) {
	var err error
	if o.Options, err = o.Options.withDefaults(); err != nil {
		return o, err
	}
	if o.Limit == 0 {
		o.Limit = defaultLimit
	}
	switch {
	case o.Certificate.Hash == "":
		return o, &Error{Op: "destroy blue", Hint: "prove that blue is idle first: the retirement writes the certificate", Err: ErrNotConfirmed}
	case o.Certificate.Typed != o.Migration:
		return o, &Error{Op: "destroy blue", Hint: "type the migration's name exactly: retire --confirm " + o.Migration, Err: ErrNotConfirmed}
	}
	return o, nil
}

// PlanDestroy plans the end of blue's namespaces: the volumes that their claims are bound to are kept (K25), then each
// namespace is deleted. Cluster-scoped objects stay, and finalizers are nobody's here to take away. It refuses namespaces
// of the platform, any that green uses, and any in which something runs that has not moved.
func PlanDestroy(ctx context.Context, opts DestroyOptions) (*plan.Plan, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	p := plan.New(opts.Migration, opts.Stage)
	onePlace, err := sameCluster(ctx, opts.Options)
	if err != nil {
		return nil, fmt.Errorf("plan the end of blue: %w", err)
	}
	names := slices.Compact(slices.Sorted(slices.Values(opts.Delete)))
	var doomed []*corev1.Namespace
	for _, name := range names {
		ns, err := doom(ctx, opts, p, name, onePlace)
		if err != nil {
			return nil, fmt.Errorf("plan the end of blue: %w", err)
		}
		if ns != nil {
			doomed = append(doomed, ns)
		}
	}
	if onePlace {
		if err := refuseCallers(ctx, opts, p, names); err != nil {
			return nil, fmt.Errorf("plan the end of blue: %w", err)
		}
	}
	volumes, err := bound(ctx, opts.Options, names)
	if err != nil {
		return nil, fmt.Errorf("plan the end of blue: %w", err)
	}
	for _, pv := range volumes {
		planRetain(opts, p, pv)
	}
	for _, ns := range doomed {
		p.Add(plan.Change{
			ID: opts.Stage + "/Namespace/" + ns.Name, Action: ActionDelete, Target: "blue: Namespace " + ns.Name,
			Why: "the migration file names it for deletion, and certificate " + opts.Certificate.Hash[:min(12, len(opts.Certificate.Hash))] + " says that blue is idle",
			ReliesOn: []plan.Reliance{
				{What: "uid of Namespace " + ns.Name, Is: string(ns.UID)},
				{What: "retirement certificate", Is: opts.Certificate.Hash},
			},
			Reverse: &plan.Reverse{Action: "restore", How: "restore the archive into it; its volumes are kept and have to be bound by hand"},
			Data:    plan.JSON(deleteData{Name: ns.Name, UID: string(ns.UID), Certificate: opts.Certificate.Hash}),
		})
	}
	return p, nil
}

// doom reads a namespace that is to go, and refuses those that may not.
func doom(ctx context.Context, opts DestroyOptions, p *plan.Plan, name string, onePlace bool) (*corev1.Namespace, error) {
	if name == metav1.NamespaceDefault || strings.HasPrefix(name, "kube-") || strings.HasPrefix(name, "openshift") {
		p.Refuse("namespace "+name, "it is the platform's own", "take it out of retirement.delete")
		return nil, nil
	}
	if _, moved := opts.Namespaces[name]; !moved {
		p.Refuse("namespace "+name, "no application of this migration moved out of it", "take it out of retirement.delete")
		return nil, nil
	}
	for _, green := range opts.Namespaces {
		if onePlace && green == name {
			p.Refuse("namespace "+name, "blue and green are one cluster, and green lives in it", "take it out of retirement.delete")
			return nil, nil
		}
	}
	ns, err := opts.Blue.Typed.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		p.Note(plan.Info, "namespace "+name, "blue has it no longer")
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read namespace %s: %w", name, err)
	}
	if ns.DeletionTimestamp != nil {
		return ns, nil
	}
	foreign, err := strangers(ctx, opts, name)
	if err != nil {
		return nil, err
	}
	if len(foreign) > 0 {
		p.Refuse("namespace "+name, "the archive does not hold "+strings.Join(foreign, ", ")+": it runs there since the last export, and would be lost",
			"move it to another namespace, or delete it by hand")
		return nil, nil
	}
	return ns, nil
}

// bound lists the volumes that claims of the namespaces are bound to.
func bound(ctx context.Context, opts Options, namespaces []string) ([]corev1.PersistentVolume, error) {
	list, err := opts.Blue.Typed.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list blue's volumes: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(pv corev1.PersistentVolume) bool {
		return pv.Spec.ClaimRef == nil || !slices.Contains(namespaces, pv.Spec.ClaimRef.Namespace)
	}), nil
}

func planRetain(opts DestroyOptions, p *plan.Plan, pv corev1.PersistentVolume) {
	was := pv.Spec.PersistentVolumeReclaimPolicy
	claim := pv.Spec.ClaimRef.Namespace + "/" + pv.Spec.ClaimRef.Name
	p.Note(plan.Info, "PersistentVolume "+pv.Name, "it held the data of "+claim+" and is kept: delete it by hand once nobody wants it")
	if was == corev1.PersistentVolumeReclaimRetain {
		return
	}
	p.Add(plan.Change{
		ID: opts.Stage + "/PersistentVolume/" + pv.Name, Action: ActionRetain, Target: "blue: PersistentVolume " + pv.Name,
		Why:      "it would be deleted with the claim " + claim,
		ReliesOn: []plan.Reliance{{What: "uid of PersistentVolume " + pv.Name, Is: string(pv.UID)}},
		Reverse:  &plan.Reverse{Action: ActionRetain, How: "set its reclaim policy to " + string(was) + " again"},
		Data:     plan.JSON(retainData{Name: pv.Name, UID: string(pv.UID), Policy: string(was)}),
	})
}

// Destroy applies a plan of PlanDestroy, one change after the other, and waits until each namespace is gone. One that hangs
// gives a *HangError that says on what.
func Destroy(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts DestroyOptions) (Result, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return Result{}, err
	}
	err = plan.Run(ctx, p, rec, plan.RunOptions{Observer: opts.Observer}, func(ctx context.Context, c plan.Change) (any, error) {
		switch c.Action {
		case ActionRetain:
			data, err := decode[retainData](c)
			if err != nil {
				return nil, err
			}
			return retain(ctx, opts, c, data)
		case ActionDelete:
			data, err := decode[deleteData](c)
			if err != nil {
				return nil, err
			}
			return remove(ctx, opts, c, data)
		}
		return nil, errUnknown
	})
	if err != nil {
		return count(p, rec), fmt.Errorf("destroy blue: %w", err)
	}
	return count(p, rec), nil
}

// HalfGone tells which namespaces that a plan of PlanDestroy deletes are gone, or going, and which are there, where the migration itself has
// deleted one of them: deleted tells by which changes. Where only others have deleted some, both are empty: that says nothing of the rest.
func HalfGone(ctx context.Context, p *plan.Plan, deleted func(changeID string) bool, blue *kube.Client) (gone, there []string, err error) {
	half := false
	for _, c := range p.Changes {
		if c.Action != ActionDelete {
			continue
		}
		data, err := decode[deleteData](c)
		if err != nil {
			return nil, nil, err
		}
		ns, err := blue.Typed.CoreV1().Namespaces().Get(ctx, data.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err) || err == nil && string(ns.UID) == data.UID && ns.DeletionTimestamp != nil:
			gone = append(gone, data.Name)
			half = half || deleted(c.ID)
		case err != nil:
			return nil, nil, fmt.Errorf("look whether namespace %s is still there: %w", data.Name, err)
		default:
			there = append(there, data.Name)
		}
	}
	if !half {
		return nil, nil, nil
	}
	return gone, there, nil
}

func retain(ctx context.Context, opts DestroyOptions, c plan.Change, data retainData) (outcome, error) {
	at := opts.Blue.Typed.CoreV1().PersistentVolumes()
	pv, err := at.Get(ctx, data.Name, metav1.GetOptions{})
	if err != nil {
		return outcome{}, fmt.Errorf("read it: %w", err)
	}
	switch {
	case string(pv.UID) != data.UID:
		return outcome{}, &plan.MovedError{Change: c.ID, What: "uid of PersistentVolume " + data.Name, Was: data.UID, Now: string(pv.UID)}
	case pv.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain:
		return outcome{didFind, data.UID}, nil
	}
	patch := []byte(`{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}`)
	if _, err := at.Patch(ctx, data.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "crossfade"}); err != nil {
		return outcome{}, fmt.Errorf("set its reclaim policy: %w", err)
	}
	return outcome{didRetain, data.UID}, nil
}

// remove deletes one namespace, after every volume behind it is seen to be kept.
func remove(ctx context.Context, opts DestroyOptions, c plan.Change, data deleteData) (outcome, error) {
	if data.Certificate != opts.Certificate.Hash {
		return outcome{}, &plan.MovedError{Change: c.ID, What: "retirement certificate", Was: data.Certificate, Now: opts.Certificate.Hash}
	}
	at := opts.Blue.Typed.CoreV1().Namespaces()
	ns, err := at.Get(ctx, data.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return outcome{didDelete, data.UID}, nil
	}
	if err != nil {
		return outcome{}, fmt.Errorf("read it: %w", err)
	}
	if string(ns.UID) != data.UID {
		return outcome{}, &plan.MovedError{Change: c.ID, What: "uid of Namespace " + data.Name, Was: data.UID, Now: string(ns.UID)}
	}
	if ns.DeletionTimestamp == nil {
		volumes, err := bound(ctx, opts.Options, []string{data.Name})
		if err != nil {
			return outcome{}, err
		}
		for _, pv := range volumes {
			if policy := pv.Spec.PersistentVolumeReclaimPolicy; policy != corev1.PersistentVolumeReclaimRetain {
				return outcome{}, &plan.MovedError{Change: c.ID, What: "reclaim policy of PersistentVolume " + pv.Name, Was: string(corev1.PersistentVolumeReclaimRetain), Now: string(policy)}
			}
		}
		foreign, err := strangers(ctx, opts, data.Name)
		if err != nil {
			return outcome{}, err
		}
		if len(foreign) > 0 {
			return outcome{}, &plan.MovedError{Change: c.ID, What: "workloads that did not move in namespace " + data.Name, Was: "none", Now: strings.Join(foreign, ", ")}
		}
		err = at.Delete(ctx, data.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &ns.UID}})
		if opts.Deleting != nil && !refusedDelete(err) {
			if err := opts.Deleting(c.ID); err != nil {
				return outcome{}, fmt.Errorf("record that it is being deleted: %w", err)
			}
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return outcome{}, fmt.Errorf("delete it: %w", err)
		}
	}
	return outcome{didDelete, data.UID}, waitGone(ctx, opts, data)
}

// refusedDelete reports whether the cluster has answered that it does not delete. Without an answer it may have.
func refusedDelete(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && !apierrors.IsNotFound(err) && !apierrors.IsTimeout(err) && !apierrors.IsServerTimeout(err)
}

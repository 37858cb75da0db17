package restore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
)

// A wrote is the outcome of a change of one object.
type wrote struct {
	// Did is created, updated, found, deleted, started or stopped.
	Did string `json:"did"`
	UID string `json:"uid,omitempty"`
}

// What a change did.
const (
	didCreate = "created"
	didUpdate = "updated"
	didFind   = "found"
	didDelete = "deleted"
	didStart  = "started"
	didStop   = "stopped"
)

// A writer writes objects to green, one write each.
type writer struct {
	opts Options

	mu   sync.Mutex
	uids map[key]types.UID // of owners that were looked up
}

func newWriter(opts Options) *writer { return &writer{opts: opts, uids: map[key]types.UID{}} }

// object makes the object of a task again, from the archive: a plan holds no contents.
func (w *writer) object(ctx context.Context, t task) (*unstructured.Unstructured, string, error) {
	if t.Entry == nil {
		return nil, "", fmt.Errorf("the change of %s names no entry of the archive", t.Target.key())
	}
	blue, err := w.opts.Archive.Object(ctx, *t.Entry)
	if err != nil {
		return nil, "", fmt.Errorf("read it from the archive: %w", err)
	}
	tr := transformer{opts: w.opts, served: func(string, string) []string { return []string{t.Target.Version} }, onePlace: t.OnePlace}
	it, err := tr.item(*t.Entry, blue)
	if err != nil {
		return nil, "", err
	}
	if it.key != t.Target.key() {
		return nil, "", &plan.MovedError{Change: t.Target.key().String(), What: "its name on green", Was: t.Target.key().String(), Now: it.key.String()}
	}
	is := it.hash
	if it.entry.Encrypted || it.key.is("", "Secret") {
		is = t.Entry.Hash
	}
	if is != t.Hash {
		return nil, "", &plan.MovedError{Change: t.Target.key().String(), What: "the content made of the archive and the migration file", Was: t.Hash, Now: is}
	}
	obj := it.waiting
	if t.Running {
		obj = it.running
	}
	return obj, contentOf(obj), w.owners(ctx, obj)
}

// create makes an object that is to be absent. One that is there counts as made when it is ours with the same content:
// an earlier try was killed between the write and its record (K21).
func (w *writer) create(ctx context.Context, t task) (wrote, error) {
	obj, hash, err := w.object(ctx, t)
	if err != nil {
		return wrote{}, err
	}
	at := w.opts.Green.At(t.Target.resource(), t.Target.Namespace)
	made, err := retry(ctx, w.opts, func() (*unstructured.Unstructured, error) {
		made, err := at.Create(ctx, obj, metav1.CreateOptions{FieldManager: "crossfade"})
		return made, discreet(obj, err)
	})
	switch {
	case err == nil:
		return wrote{didCreate, string(made.GetUID())}, w.afterWrite(ctx, t, made)
	case apierrors.IsAlreadyExists(err):
	case apierrors.IsInvalid(err) && strings.Contains(err.Error(), "port is already allocated"):
		return wrote{}, &Error{Op: "make it", Hint: "plan the ports again", Err: fmt.Errorf("%w: %w", ErrPortTaken, err)}
	case apierrors.IsNotFound(err) && t.Target.Namespace != "":
		return wrote{}, &Error{Op: "make it", Hint: "is there a namespace " + t.Target.Namespace + " on green? provision makes it", Err: err}
	default:
		return wrote{}, fmt.Errorf("make it: %w", err)
	}
	live, err := at.Get(ctx, t.Target.Name, metav1.GetOptions{})
	if err != nil {
		return wrote{}, fmt.Errorf("read what is there already: %w", err)
	}
	if !ours(live, w.opts.Migration) || contentOf(live) != hash {
		return wrote{}, &plan.MovedError{Change: t.Target.key().String(), What: t.Target.key().String() + " on green", Was: "absent", Now: describe(live, w.opts.Migration)}
	}
	return wrote{didFind, string(live.GetUID())}, w.afterWrite(ctx, t, live)
}

func describe(live *unstructured.Unstructured, migration string) string {
	if keyOf(live).is("", "Secret") && ours(live, migration) {
		return "there, ours, with other content" // never a hash without a key in an error (I9)
	}
	if ours(live, migration) {
		return "there, ours, with content " + contentOf(live)
	}
	return "there, and not ours"
}

// update replaces an object whose content is still the one that the plan was made on.
func (w *writer) update(ctx context.Context, c plan.Change, t task) (wrote, error) {
	obj, hash, err := w.object(ctx, t)
	if err != nil {
		return wrote{}, err
	}
	at := w.opts.Green.At(t.Target.resource(), t.Target.Namespace)
	const tries = 10
	for range tries {
		live, err := at.Get(ctx, t.Target.Name, metav1.GetOptions{})
		if err != nil {
			return wrote{}, fmt.Errorf("read it: %w", err)
		}
		if contentOf(live) == hash && t.Foreign != Update {
			return wrote{didFind, string(live.GetUID())}, nil
		}
		next := obj.DeepCopy()
		carry(live, next, t.Foreign)
		if err := stillIs(c, t, live); err != nil {
			if t.Foreign == Update && w.asWritten(ctx, at, live, next) {
				return wrote{didFind, string(live.GetUID())}, nil
			}
			return wrote{}, err
		}
		made, err := retry(ctx, w.opts, func() (*unstructured.Unstructured, error) {
			made, err := at.Update(ctx, next, metav1.UpdateOptions{FieldManager: "crossfade"})
			return made, discreet(next, err)
		})
		switch {
		case err == nil:
			return wrote{didUpdate, string(made.GetUID())}, w.afterWrite(ctx, t, made)
		case apierrors.IsConflict(err):
			continue // something that the change does not rely on has moved
		default:
			return wrote{}, fmt.Errorf("update it: %w", err)
		}
	}
	return wrote{}, fmt.Errorf("update it: it changed %d times between reading and writing", tries)
}

// asWritten reports whether a write would change nothing: an earlier try was killed between the write and its record.
func (w *writer) asWritten(ctx context.Context, at dynamic.ResourceInterface, live, next *unstructured.Unstructured) bool {
	would, err := at.Update(ctx, next, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
	return err == nil && kube.Hash(would) == kube.Hash(live)
}

// stillIs compares what a change relies on with what is there now.
func stillIs(c plan.Change, t task, live *unstructured.Unstructured) error {
	now := reliance(t.Target.key(), live, t.Foreign)
	for _, relies := range c.ReliesOn {
		if relies.What == now.What && relies.Is != now.Is {
			return &plan.MovedError{Change: c.ID, What: relies.What, Was: relies.Is, Now: now.Is}
		}
	}
	return nil
}

// remove deletes the very object that the plan names.
func (w *writer) remove(ctx context.Context, t task) (wrote, error) {
	at := w.opts.Green.At(t.Target.resource(), t.Target.Namespace)
	uid, background := types.UID(t.UID), metav1.DeletePropagationBackground
	_, err := retry(ctx, w.opts, func() (struct{}, error) {
		return struct{}{}, at.Delete(ctx, t.Target.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background})
	})
	switch {
	case err == nil, apierrors.IsNotFound(err):
		return wrote{didDelete, t.UID}, nil
	case apierrors.IsConflict(err):
		return wrote{}, &plan.MovedError{Change: t.Target.key().String(), What: "uid of " + t.Target.key().String(), Was: t.UID, Now: "another"}
	}
	return wrote{}, fmt.Errorf("delete it: %w", err)
}

// owners fills in the uids of owners as green has them. A stale uid is never sent (K8): an owner that green does not have
// is left out.
func (w *writer) owners(ctx context.Context, obj *unstructured.Unstructured) error {
	refs := obj.GetOwnerReferences()
	if len(refs) == 0 {
		return nil
	}
	kept := refs[:0]
	for _, ref := range refs {
		uid, err := w.ownerUID(ctx, ref, obj.GetNamespace())
		if err != nil {
			return fmt.Errorf("look for the owner %s %s: %w", ref.Kind, ref.Name, err)
		}
		if uid != "" {
			ref.UID = uid
			kept = append(kept, ref)
		}
	}
	obj.SetOwnerReferences(kept)
	return nil
}

func (w *writer) ownerUID(ctx context.Context, ref metav1.OwnerReference, namespace string) (types.UID, error) {
	group, _, ok := strings.Cut(ref.APIVersion, "/")
	if !ok {
		group = ""
	}
	k := key{group, ref.Kind, namespace, ref.Name}
	w.mu.Lock()
	uid := w.uids[k]
	w.mu.Unlock()
	if uid != "" {
		return uid, nil
	}
	r, err := w.opts.Green.ResourceFor(ctx, group, ref.Kind)
	if errors.Is(err, kube.ErrNotServed) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	owner, err := w.opts.Green.At(r, namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read it: %w", err)
	}
	w.mu.Lock()
	w.uids[k] = owner.GetUID()
	w.mu.Unlock()
	return owner.GetUID(), nil
}

// carry takes over from the live object what green's servers and controllers put into it, so that replacing the content
// takes nothing of theirs away. With the policy update, the object stays its owner's.
func carry(live, next *unstructured.Unstructured, foreign Policy) {
	next.SetResourceVersion(live.GetResourceVersion())
	if foreign == Update {
		labels, annotations := next.GetLabels(), next.GetAnnotations()
		delete(labels, kube.LabelMigration)
		delete(annotations, kube.AnnotationContent)
		if owner := live.GetLabels()[kube.LabelMigration]; owner != "" {
			labels[kube.LabelMigration] = owner
		}
		next.SetLabels(labels)
		next.SetAnnotations(annotations)
	}
	annotations := next.GetAnnotations()
	for name, value := range live.GetAnnotations() {
		domain, _, _ := strings.Cut(name, "/")
		_, given := annotations[name]
		if !given && (strings.HasSuffix(domain, "kubernetes.io") || strings.HasSuffix(domain, "k8s.io")) {
			if annotations == nil {
				annotations = map[string]string{}
			}
			annotations[name] = value
		}
	}
	next.SetAnnotations(annotations)
	if len(live.GetFinalizers()) > 0 {
		next.SetFinalizers(live.GetFinalizers())
	}
	carrySpec(live.Object, next.Object, keyOf(next))
}

func carrySpec(live, next map[string]any, k key) {
	from, to := dig(live, "spec"), dig(next, "spec")
	switch {
	case k.is("", "Service"):
		inherit(from, to, "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort")
		for _, port := range digMaps(to, "ports") {
			for _, was := range digMaps(from, "ports") {
				if was["name"] == port["name"] && was["port"] == port["port"] && was["protocol"] == port["protocol"] && to["type"] != "ClusterIP" {
					inherit(was, port, "nodePort")
				}
			}
		}
	case k.is("", "PersistentVolumeClaim"):
		inherit(from, to, "volumeName", "storageClassName", "volumeMode")
	case k.is("", "ServiceAccount"):
		inherit(live, next, "secrets")
	case k.is("batch", "Job"):
		inherit(from, to, "selector")
		labels, was := dig(to, "template", "metadata", "labels"), dig(from, "template", "metadata", "labels")
		if labels == nil && was != nil {
			to["template"].(map[string]any)["metadata"] = dig(from, "template", "metadata")
		}
		for name, value := range was {
			if _, given := labels[name]; !given && labels != nil {
				labels[name] = value
			}
		}
	case k.is(crdGroup, "CustomResourceDefinition"):
		inherit(dig(from, "conversion", "webhook", "clientConfig"), dig(to, "conversion", "webhook", "clientConfig"), "caBundle")
	case k.is("apiregistration.k8s.io", "APIService"):
		inherit(from, to, "caBundle")
	case isAdmissionWebhook(k):
		for _, hook := range digMaps(next, "webhooks") {
			for _, was := range digMaps(live, "webhooks") {
				if was["name"] == hook["name"] {
					inherit(dig(was, "clientConfig"), dig(hook, "clientConfig"), "caBundle")
				}
			}
		}
	}
}

// inherit copies fields that are missing.
func inherit(from, to map[string]any, fields ...string) {
	if to == nil {
		return
	}
	for _, f := range fields {
		if value, ok := from[f]; ok {
			if _, given := to[f]; !given {
				to[f] = value
			}
		}
	}
}

// retry tries again what failed for a reason that passes. A write whose answer was lost may have happened: the next try
// meets it as AlreadyExists or Conflict, and its caller looks at what is there.
func retry[T any](ctx context.Context, opts Options, do func() (T, error)) (T, error) {
	const tries = 6
	wait := 100 * time.Millisecond
	for try := 1; ; try++ {
		v, err := do()
		if err == nil || try == tries || !passes(err) {
			return v, err
		}
		opts.Log.DebugContext(ctx, "try again", "error", err.Error(), "try", try)
		if serr := opts.Clock.Sleep(ctx, wait); serr != nil {
			return v, fmt.Errorf("%w (and no time was left to try again: %w)", err, serr)
		}
		wait *= 2
	}
}

func passes(err error) bool {
	return apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) || apierrors.IsInternalError(err) ||
		apierrors.IsServiceUnavailable(err) || utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) || utilnet.IsTimeout(err)
}

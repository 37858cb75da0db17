package lease

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	coordination "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// annotationHolder holds the Holder, as JSON, on a Lease.
const annotationHolder = "crossfade.dev/holder"

// NameInCluster is the name of a migration's Lease.
func NameInCluster(migration string) string { return "crossfade-" + migration }

// InCluster is the lease as a Lease of a cluster. It needs get, create, update and delete of leases in that namespace.
func InCluster(client *kube.Client, namespace, migration string) Place {
	return &inCluster{client: client, namespace: namespace, name: NameInCluster(migration), migration: migration}
}

type inCluster struct {
	client          *kube.Client
	namespace, name string
	migration       string
}

func (p *inCluster) String() string {
	return fmt.Sprintf("%s/%s of %s", p.namespace, p.name, p.client.Config.Host)
}

// versionOf names an object and its state: a new object of the same name is another.
func versionOf(l *coordination.Lease) Version {
	return Version(string(l.UID) + "/" + l.ResourceVersion)
}

func (p *inCluster) Read(ctx context.Context) (Holder, Version, error) {
	l, err := p.client.Typed.CoordinationV1().Leases(p.namespace).Get(ctx, p.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Holder{}, "", nil
	}
	if err != nil {
		return Holder{}, "", p.explain(ctx, err)
	}
	var h Holder
	if l.Labels[kube.LabelMigration] != p.migration || json.Unmarshal([]byte(l.Annotations[annotationHolder]), &h) != nil {
		return Holder{}, "", fmt.Errorf("Lease %s is not this migration's: somebody else made it; give the migration another name, or remove the Lease", p)
	}
	return h, versionOf(l), nil
}

func (p *inCluster) Write(ctx context.Context, h Holder, seen Version) (Version, error) {
	raw, err := json.Marshal(h)
	if err != nil {
		return "", err
	}
	holder, seconds := h.String(), int32(Lasts.Seconds())
	began, renewed := metav1.NewMicroTime(h.Since), metav1.NewMicroTime(h.Until.Add(-Lasts))
	l := &coordination.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: p.name, Namespace: p.namespace,
			Labels: map[string]string{kube.LabelMigration: p.migration}, Annotations: map[string]string{annotationHolder: string(raw)},
		},
		Spec: coordination.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, AcquireTime: &began, RenewTime: &renewed},
	}
	leases := p.client.Typed.CoordinationV1().Leases(p.namespace)
	if seen == "" {
		l, err = leases.Create(ctx, l, metav1.CreateOptions{})
	} else {
		_, l.ResourceVersion, _ = strings.Cut(string(seen), "/")
		l, err = leases.Update(ctx, l, metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			// Either the Lease was taken away, or its namespace: only the latter leaves nothing to be made anew.
			return "", fmt.Errorf("%w: %w", ErrConflict, err)
		}
	}
	if err != nil {
		return "", p.explain(ctx, err)
	}
	return versionOf(l), nil
}

func (p *inCluster) Remove(ctx context.Context, seen Version) error {
	uid, rv, _ := strings.Cut(string(seen), "/")
	id := types.UID(uid)
	err := p.client.Typed.CoordinationV1().Leases(p.namespace).Delete(ctx, p.name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &id, ResourceVersion: &rv},
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return p.explain(ctx, err)
}

// explain tells what a caller must know apart.
func (p *inCluster) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return fmt.Errorf("%w: %w", ErrNoPlace, err)
	case apierrors.IsForbidden(err) && p.ending(ctx):
		return fmt.Errorf("%w: %w", ErrNoPlace, err)
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return err
}

// ending reports whether the namespace goes or is gone: rights that were given in it go with it.
func (p *inCluster) ending(ctx context.Context) bool {
	ns, err := p.client.Typed.CoreV1().Namespaces().Get(ctx, p.namespace, metav1.GetOptions{})
	return apierrors.IsNotFound(err) || err == nil && ns.DeletionTimestamp != nil
}

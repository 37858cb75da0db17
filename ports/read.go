package ports

import (
	"context"
	"fmt"
	"iter"

	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Archive is the revision whose Services move; *archive.Reader is one.
type Archive interface {
	// Index returns what the revision holds.
	Index() archive.Index
	// Object returns one object of the revision.
	Object(ctx context.Context, e archive.Entry) (*unstructured.Unstructured, error)
}

// Read makes the input of a plan: what the archive's objects want, what green has, what the file maps. Green is not asked
// where nothing is wanted.
func Read(ctx context.Context, a Archive, green Cluster, name string, maps migration.Maps) (Input, error) {
	in := Input{Explicit: maps.NodePorts}
	for _, e := range a.Index().Entries {
		if _, pods := templates()[e.Kind]; e.Role == archive.RoleInformation || (!pods && e.Kind != "Service" && e.Kind != "ConfigMap") {
			continue
		}
		obj, err := a.Object(ctx, e)
		if err != nil {
			return in, fmt.Errorf("read blue's ports: %w", err)
		}
		if err := Collect(&in, obj, maps.Namespaces); err != nil {
			return in, fmt.Errorf("read blue's ports: %w", err)
		}
	}
	if len(in.Wants)+len(in.HostPorts) == 0 {
		return in, nil
	}
	learned, err := Learn(ctx, green, name, kube.LabelMigration)
	if err != nil {
		return in, err
	}
	in.Range, in.Used, in.Taken = learned.Range, learned.Used, learned.Taken
	return in, nil
}

// FromKube is a Cluster that a client reaches.
func FromKube(c *kube.Client) Cluster { return kubeCluster{c} }

type kubeCluster struct{ client *kube.Client }

// TryNodePort asks for a Service under a name that every cluster has already, default/kubernetes: the server looks at the
// number first and says its range where that does not fit; where it does, the name is refused and the number released. So
// the request cannot succeed. A dry run would be plainer, but servers from 1.28 to 1.36, at least, do not hold the
// numbers of a dry run against their range.
func (k kubeCluster) TryNodePort(ctx context.Context, port int32) error {
	services := k.client.Typed.CoreV1().Services(metav1.NamespaceDefault)
	if _, err := services.Get(ctx, "kubernetes", metav1.GetOptions{}); err != nil {
		return fmt.Errorf("look for the Service whose name is taken: %w", err)
	}
	_, err := services.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "kubernetes", Namespace: metav1.NamespaceDefault},
		Spec: corev1.ServiceSpec{
			Type:  corev1.ServiceTypeNodePort,
			Ports: []corev1.ServicePort{{Name: "range", Port: port, NodePort: port, Protocol: corev1.ProtocolTCP}},
		},
	}, metav1.CreateOptions{FieldManager: "crossfade"})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (k kubeCluster) Services(ctx context.Context) iter.Seq2[*corev1.Service, error] {
	return typed[corev1.Service](ctx, k.client, "Service")
}

func (k kubeCluster) Pods(ctx context.Context) iter.Seq2[*corev1.Pod, error] {
	return typed[corev1.Pod](ctx, k.client, "Pod")
}

// typed lists a kind of the core group in every namespace.
func typed[T any](ctx context.Context, c *kube.Client, kind string) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		r, err := c.ResourceFor(ctx, "", kind)
		if err != nil {
			yield(nil, err)
			return
		}
		for obj, err := range c.List(ctx, r, "", "") {
			v := new(T)
			if err == nil {
				err = runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, v)
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// parse reads YAML documents.
func parse(raw []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096)
	var out []*unstructured.Unstructured
	for {
		obj := &unstructured.Unstructured{}
		err := decoder.Decode(&obj.Object)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if len(obj.Object) > 0 {
			out = append(out, obj)
		}
	}
}

func create(ctx context.Context, client *kube.Client, obj *unstructured.Unstructured) error {
	gvk := obj.GroupVersionKind()
	r, err := client.ResourceFor(ctx, gvk.Group, gvk.Kind)
	if err != nil {
		return err
	}
	_, err = client.At(r.In(gvk.Version), obj.GetNamespace()).Create(ctx, obj, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("make %s %s: %w", gvk.Kind, obj.GetName(), err)
	}
	return nil
}

// platform makes what a cluster has before any migration, and finds out which kinds it serves.
func (s *Side) platform(ctx context.Context) error {
	raw, err := fill("testdata/platform.yaml", nil)
	if err != nil {
		return err
	}
	objects, err := parse(raw)
	if err != nil {
		return err
	}
	for _, obj := range objects {
		if err := create(ctx, s.Client, obj); err != nil {
			return err
		}
	}
	return poll(ctx, time.Minute, func() error {
		all, dead, err := s.Client.Resources(ctx)
		if err != nil || len(dead) > 0 {
			return fmt.Errorf("find the kinds: %v %w", dead, err)
		}
		if !slices.ContainsFunc(all, func(r kube.Resource) bool { return r.Kind == "Widget" }) {
			return errors.New("widgets are not served yet")
		}
		s.kinds = nil
		for _, r := range all {
			if r.Namespaced && r.Can("list") && r.Can("create") && !derived(r) {
				s.kinds = append(s.kinds, r)
			}
		}
		return nil
	})
}

// makeObjects makes the trial's objects on blue.
func (t *Trial) makeObjects(ctx context.Context) error {
	raw, err := fill(t.form.objects, t.values())
	if err != nil {
		return err
	}
	objects, err := parse(raw)
	if err != nil {
		return err
	}
	client := t.world.Blue.Client
	n := len(t.Namespaces("blue"))
	spaces, rest := objects[:n], objects[n:] // the namespaces come first
	for _, obj := range spaces {
		if err := create(ctx, client, obj); err != nil {
			return err
		}
	}
	for _, ns := range t.Namespaces("blue") {
		err := poll(ctx, time.Minute, func() error {
			_, err := client.Typed.CoreV1().ServiceAccounts(ns).Get(ctx, "default", metav1.GetOptions{})
			return err
		})
		if err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, obj := range rest {
		group.Go(func() error { return create(ctx, client, obj) })
	}
	return group.Wait()
}

// settled waits until blue's controllers have done what the objects ask for.
func (t *Trial) settled(ctx context.Context) error {
	client := t.world.Blue.Client.Typed
	return poll(ctx, 2*time.Minute, func() error {
		for _, ns := range t.Namespaces("blue") {
			deployments, err := client.AppsV1().Deployments(ns).List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			jobs, err := client.BatchV1().Jobs(ns).List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			services, err := client.CoreV1().Services(ns).List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			if err := errors.Join(available(deployments), complete(jobs), addressed(services)); err != nil {
				return err
			}
			if _, err := client.CoreV1().ConfigMaps(ns).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
}

func available(list *appsv1.DeploymentList) error {
	for _, d := range list.Items {
		if d.Status.AvailableReplicas != *d.Spec.Replicas {
			return fmt.Errorf("deployment %s has %d of %d replicas", d.Name, d.Status.AvailableReplicas, *d.Spec.Replicas)
		}
	}
	return nil
}

func complete(list *batchv1.JobList) error {
	for _, j := range list.Items {
		if j.Status.CompletionTime == nil {
			return fmt.Errorf("job %s is not complete", j.Name)
		}
	}
	return nil
}

func addressed(list *corev1.ServiceList) error {
	for _, s := range list.Items {
		if s.Spec.Type == corev1.ServiceTypeLoadBalancer && len(s.Status.LoadBalancer.Ingress) == 0 {
			return fmt.Errorf("service %s has no address", s.Name)
		}
	}
	return nil
}

// get returns a cluster-scoped object, or nil.
func get(ctx context.Context, client *kube.Client, group, kind, name string) (*unstructured.Unstructured, error) {
	r, err := client.ResourceFor(ctx, group, kind)
	if err != nil {
		return nil, err
	}
	obj, err := client.At(r, "").Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return obj, err
}

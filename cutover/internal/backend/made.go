package backend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// Errors of objects of our own.
var (
	// ErrForeign says that an object of the name is there and is not this migration's.
	ErrForeign = errors.New("it is there already and is not this migration's")
	// ErrChanged says that somebody has changed an object of ours, so that it is left alone.
	ErrChanged = errors.New("somebody has changed it since it was made")
)

// Own marks an object as this migration's. It returns the object.
func Own(obj *unstructured.Unstructured, migration string) *unstructured.Unstructured {
	labels := obj.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[kube.LabelMigration], labels[kube.LabelComponent] = migration, kube.ComponentEntry
	obj.SetLabels(labels)
	return obj
}

// ours reports whether an object that is there is the one that obj is to be: of the same migration, and made by this package.
func ours(live, obj *unstructured.Unstructured) bool {
	is, want := live.GetLabels(), obj.GetLabels()
	return is[kube.LabelMigration] == want[kube.LabelMigration] && is[kube.LabelComponent] == kube.ComponentEntry
}

// Put makes an object that Own has marked, or makes it anew where one of ours of that name asks for something else. It returns
// its uid. An error wraps ErrForeign where another's has the name.
func Put(ctx context.Context, c *kube.Client, obj *unstructured.Unstructured) (string, error) {
	name := fmt.Sprintf("%s %s/%s", obj.GetKind(), obj.GetNamespace(), obj.GetName())
	r, err := c.ResourceFor(ctx, obj.GroupVersionKind().Group, obj.GetKind())
	if err != nil {
		return "", fmt.Errorf("make %s: %w", name, err)
	}
	at := c.At(r.In(obj.GroupVersionKind().Version), obj.GetNamespace())
	for try := 1; ; try++ {
		live, err := at.Get(ctx, obj.GetName(), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			live, err = at.Create(ctx, obj, metav1.CreateOptions{})
		case err != nil:
		case !ours(live, obj):
			return "", fmt.Errorf("make %s: %w", name, ErrForeign)
		case asks(live, obj):
			return string(live.GetUID()), nil
		default:
			live, err = at.Update(ctx, renewed(live, obj), metav1.UpdateOptions{})
		}
		if err == nil {
			return string(live.GetUID()), nil
		}
		if (apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)) && try < tries && ctx.Err() == nil {
			continue
		}
		return "", fmt.Errorf("make %s: %w", name, err)
	}
}

// Create makes an object that Own has marked, where none of its name is there, and reports whether it did. One of ours that asks for the same is as good; an
// error wraps ErrForeign where another's has the name, and ErrChanged where ours asks for something else.
func Create(ctx context.Context, c *kube.Client, obj *unstructured.Unstructured) (bool, error) {
	name := fmt.Sprintf("%s %s/%s", obj.GetKind(), obj.GetNamespace(), obj.GetName())
	r, err := c.ResourceFor(ctx, obj.GroupVersionKind().Group, obj.GetKind())
	if err != nil {
		return false, fmt.Errorf("make %s: %w", name, err)
	}
	at := c.At(r.In(obj.GroupVersionKind().Version), obj.GetNamespace())
	_, err = at.Create(ctx, obj, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		if err != nil {
			err = fmt.Errorf("make %s: %w", name, err)
		}
		return err == nil, err
	}
	live, err := at.Get(ctx, obj.GetName(), metav1.GetOptions{})
	switch {
	case err != nil:
		return false, fmt.Errorf("make %s: %w", name, err)
	case !ours(live, obj):
		return false, fmt.Errorf("make %s: %w", name, ErrForeign)
	case !asks(live, obj):
		return false, fmt.Errorf("make %s: %w", name, ErrChanged)
	}
	return false, nil
}

// Drop takes an object away that Put has made. What is gone, or is another's by now, needs nothing. An error wraps ErrChanged
// where somebody has changed it: then it stays.
func Drop(ctx context.Context, c *kube.Client, obj *unstructured.Unstructured) error {
	name := fmt.Sprintf("%s %s/%s", obj.GetKind(), obj.GetNamespace(), obj.GetName())
	r, err := c.ResourceFor(ctx, obj.GroupVersionKind().Group, obj.GetKind())
	if err != nil {
		return fmt.Errorf("take %s away: %w", name, err)
	}
	at := c.At(r.In(obj.GroupVersionKind().Version), obj.GetNamespace())
	live, err := at.Get(ctx, obj.GetName(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("take %s away: %w", name, err)
	case !ours(live, obj):
		return nil
	case !asks(live, obj):
		return fmt.Errorf("take %s away: %w", name, ErrChanged)
	}
	uid, version := live.GetUID(), live.GetResourceVersion()
	err = at.Delete(ctx, obj.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: (*types.UID)(&uid), ResourceVersion: &version}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("take %s away: %w", name, err)
	}
	return nil
}

// TakeAway takes an object away that Put has made, whatever somebody has changed of it since: users' requests go through it, and the way back
// waits for nobody. It says what was changed, in words. One that finalizers hold would go on leading requests: mute edits it first, so
// that it leads none. What is another's by now stays, and is said.
func TakeAway(ctx context.Context, c *kube.Client, obj *unstructured.Unstructured, mute func(*unstructured.Unstructured)) (edited []string, err error) {
	name := fmt.Sprintf("%s %s/%s", obj.GetKind(), obj.GetNamespace(), obj.GetName())
	r, err := c.ResourceFor(ctx, obj.GroupVersionKind().Group, obj.GetKind())
	if err != nil {
		return nil, fmt.Errorf("take %s away: %w", name, err)
	}
	at := c.At(r.In(obj.GroupVersionKind().Version), obj.GetNamespace())
	for try := 1; ; try++ {
		live, err := at.Get(ctx, obj.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return edited, nil
		}
		if err != nil {
			return edited, fmt.Errorf("take %s away: %w", name, err)
		}
		if !ours(live, obj) && !mentions(live.Object["spec"], obj.GetName()) {
			return []string{name + " is another's by now, and stays"}, nil
		}
		edited = changes(live, obj, name)
		held := strings.Join(live.GetFinalizers(), ", ")
		if held != "" {
			edited = append(edited, fmt.Sprintf("%s is held by finalizers (%s): it is to go once they are gone", name, held))
			if mute != nil {
				mute(live)
				live, err = at.Update(ctx, live, metav1.UpdateOptions{})
			}
		}
		if err == nil {
			uid, version := live.GetUID(), live.GetResourceVersion()
			err = at.Delete(ctx, obj.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: (*types.UID)(&uid), ResourceVersion: &version}})
		}
		switch {
		case err == nil, apierrors.IsNotFound(err):
			return edited, nil
		case ctx.Err() == nil && apierrors.IsConflict(err) && try < tries:
		default:
			return edited, fmt.Errorf("take %s away: %w", name, err)
		}
	}
}

// mentions reports whether anything in a spec is named so: an object of ours that lost its labels still leads to the Service of its name.
func mentions(spec any, name string) bool {
	switch spec := spec.(type) {
	case map[string]any:
		for k, v := range spec {
			if text, ok := v.(string); ok && k == "name" && text == name || mentions(v, name) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(spec, func(v any) bool { return mentions(v, name) })
	}
	return false
}

// changes says what of an object is not as it was made.
func changes(live, obj *unstructured.Unstructured, name string) []string {
	var list []string
	say := func(what string) { list = append(list, fmt.Sprintf("somebody has changed %s of %s", what, name)) }
	for field, want := range obj.Object {
		switch field {
		case "apiVersion", "kind", "metadata", "status":
		default:
			if !covers(live.Object[field], want) {
				say(field)
			}
		}
	}
	texts := func(what string, is, want map[string]string) {
		for _, k := range slices.Sorted(maps.Keys(is)) {
			if want[k] != is[k] {
				say(what + " " + k)
			}
		}
		for _, k := range slices.Sorted(maps.Keys(want)) {
			if _, there := is[k]; !there {
				say(what + " " + k)
			}
		}
	}
	texts("the label", live.GetLabels(), obj.GetLabels())
	texts("the annotation", live.GetAnnotations(), obj.GetAnnotations())
	return list
}

// asks reports whether an object asks for all that another does. A server adds defaults, which do not count.
func asks(live, obj *unstructured.Unstructured) bool {
	for field, want := range obj.Object {
		switch field {
		case "apiVersion", "kind", "metadata", "status":
		default:
			if !covers(live.Object[field], want) {
				return false
			}
		}
	}
	has := func(live, want map[string]string) bool {
		for k, v := range want {
			if is, there := live[k]; !there || is != v {
				return false
			}
		}
		return true
	}
	return has(live.GetLabels(), obj.GetLabels()) && has(live.GetAnnotations(), obj.GetAnnotations())
}

// covers reports whether what is there holds all that is wanted: objects by their fields, lists one by one.
func covers(live, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		is, ok := live.(map[string]any)
		for k, v := range want {
			if !ok || !covers(is[k], v) {
				return false
			}
		}
		return ok
	case []any:
		is, ok := live.([]any)
		if !ok || len(is) != len(want) {
			return false
		}
		for i := range want {
			if !covers(is[i], want[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(live, want)
}

// renewed is an object of ours as it is to be. What servers and controllers keep in it stays.
func renewed(live, obj *unstructured.Unstructured) *unstructured.Unstructured {
	next := live.DeepCopy()
	for field, want := range obj.Object {
		switch field {
		case "apiVersion", "kind", "metadata", "status":
		default:
			next.Object[field] = want
		}
	}
	next.SetLabels(obj.GetLabels())
	next.SetAnnotations(obj.GetAnnotations())
	return next
}

// ExternalName is a Service that stands for another by its name in the cluster's DNS. Its ports are those of the Service that
// it stands for: a name carries no port, so none is mapped.
func ExternalName(migration, namespace, name, target string, ports []corev1.ServicePort) *unstructured.Unstructured {
	list := make([]any, 0, len(ports))
	for _, p := range ports {
		port := map[string]any{"port": int64(p.Port), "protocol": string(corev1.ProtocolTCP)}
		if p.Protocol != "" {
			port["protocol"] = string(p.Protocol)
		}
		if p.Name != "" {
			port["name"] = p.Name
		}
		list = append(list, port)
	}
	obj := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Service",
		"spec": map[string]any{"type": string(corev1.ServiceTypeExternalName), "externalName": target, "ports": list},
	}}
	obj.SetNamespace(namespace)
	obj.SetName(name)
	return Own(obj, migration)
}

// Grant is a ReferenceGrant in a namespace that lets the HTTPRoutes of another send to the Services named.
func Grant(migration, namespace, name, from string, services []string) *unstructured.Unstructured {
	to := make([]any, 0, len(services))
	for _, s := range services {
		to = append(to, map[string]any{"group": "", "kind": "Service", "name": s})
	}
	obj := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": GroupGateway + "/v1beta1", "kind": "ReferenceGrant",
		"spec": map[string]any{
			"from": []any{map[string]any{"group": GroupGateway, "kind": HTTPRoute, "namespace": from}},
			"to":   to,
		},
	}}
	obj.SetNamespace(namespace)
	obj.SetName(name)
	return Own(obj, migration)
}

package export

import (
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// A Service that leads to green by pods of ours goes into the archive as its own.
func TestAServiceInDetourIsArchivedAsItsOwn(t *testing.T) {
	service := func(text string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Service",
			"metadata": map[string]any{"name": "shop", "namespace": "demo", "annotations": map[string]any{kube.AnnotationFront: text, "other": "kept"}},
			"spec": map[string]any{
				"selector": map[string]any{kube.LabelFront: "crossfade-forwarder-shop"}, "type": "LoadBalancer",
				"ports": []any{map[string]any{"port": int64(80), "targetPort": int64(20001), "nodePort": int64(30080)}},
			},
		}}
	}
	svc := service(`{"selector":{"app":"shop"},"ports":[{"port":80,"targetPort":8080,"nodePort":30080}]}`)
	if err := behindFront(svc); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"selector": map[string]any{"app": "shop"}, "type": "LoadBalancer",
		"ports": []any{map[string]any{"port": int64(80), "targetPort": int64(8080), "nodePort": int64(30080)}},
	}
	if !reflect.DeepEqual(svc.Object["spec"], want) {
		t.Errorf("got %v\nwant %v", svc.Object["spec"], want)
	}
	if a := svc.GetAnnotations(); len(a) != 1 || a["other"] != "kept" {
		t.Errorf("annotations %v", a)
	}
	for _, text := range []string{"", "{", "[]", "{}", `{"selector":{"app":"shop"}}`} {
		if err := behindFront(service(text)); err == nil {
			t.Errorf("an annotation %q is taken", text)
		}
	}
	plain := &unstructured.Unstructured{Object: map[string]any{"kind": "Service", "spec": map[string]any{"selector": map[string]any{"app": "shop"}}}}
	before := plain.DeepCopy()
	if err := behindFront(plain); err != nil || !reflect.DeepEqual(plain, before) {
		t.Errorf("a Service of its own became %v, %v", plain, err)
	}
	pod := &unstructured.Unstructured{Object: map[string]any{"kind": "Deployment", "metadata": map[string]any{"name": "f", "labels": map[string]any{kube.LabelFront: "f"}}}}
	if why := (dropper{}).reason(pod); why != dropFront {
		t.Errorf("our own Deployment is kept: %q", why)
	}
}

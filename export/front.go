package export

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// behindFront gives a Service that leads to pods of a migration the selector and the ports that are its own: green gets the
// application's Service, not the detour that blue's has taken meanwhile.
func behindFront(obj *unstructured.Unstructured) error {
	text, ok := obj.GetAnnotations()[kube.AnnotationFront]
	if !ok || obj.GetKind() != "Service" {
		return nil
	}
	var own map[string]any // whole numbers stay whole in it, as in the object
	if err := utiljson.Unmarshal([]byte(text), &own); err != nil {
		return fmt.Errorf("service %s/%s: read its annotation %s: %w", obj.GetNamespace(), obj.GetName(), kube.AnnotationFront, err)
	}
	spec, ok := obj.Object["spec"].(map[string]any)
	if !ok {
		return fmt.Errorf("service %s/%s has no spec", obj.GetNamespace(), obj.GetName())
	}
	for _, field := range []string{"selector", "ports"} {
		if own[field] == nil {
			return fmt.Errorf("service %s/%s: its annotation %s does not tell its own %s", obj.GetNamespace(), obj.GetName(), kube.AnnotationFront, field)
		}
		spec[field] = own[field]
	}
	annotations := obj.GetAnnotations()
	delete(annotations, kube.AnnotationFront)
	obj.SetAnnotations(annotations)
	return nil
}

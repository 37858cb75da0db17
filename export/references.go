package export

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Groups of what applications refer to in the whole cluster.
const (
	groupRBAC    = "rbac.authorization.k8s.io"
	groupStorage = "storage.k8s.io"
)

// ref names one cluster-scoped object.
type ref struct {
	schema.GroupKind
	name string
}

// classFields are the fields whose value names a class, wherever they stand: pod templates, claims, custom resources.
func classFields(key string) (schema.GroupKind, bool) {
	switch key {
	case "storageClassName":
		return schema.GroupKind{Group: groupStorage, Kind: "StorageClass"}, true
	case "priorityClassName":
		return schema.GroupKind{Group: "scheduling.k8s.io", Kind: "PriorityClass"}, true
	case "runtimeClassName":
		return schema.GroupKind{Group: "node.k8s.io", Kind: "RuntimeClass"}, true
	case "ingressClassName":
		return schema.GroupKind{Group: "networking.k8s.io", Kind: "IngressClass"}, true
	case "gatewayClassName":
		return schema.GroupKind{Group: "gateway.networking.k8s.io", Kind: "GatewayClass"}, true
	}
	return schema.GroupKind{}, false
}

// referred lists the cluster-scoped objects that an object names.
func referred(obj *unstructured.Unstructured) []ref {
	var refs []ref
	walk(obj.Object, &refs)
	if class := obj.GetAnnotations()["kubernetes.io/ingress.class"]; class != "" && obj.GetKind() == "Ingress" {
		refs = append(refs, ref{schema.GroupKind{Group: "networking.k8s.io", Kind: "IngressClass"}, class})
	}
	gk := obj.GroupVersionKind().GroupKind()
	switch {
	case gk == schema.GroupKind{Kind: "PersistentVolumeClaim"}:
		if volume, _, _ := unstructured.NestedString(obj.Object, "spec", "volumeName"); volume != "" {
			refs = append(refs, ref{schema.GroupKind{Kind: "PersistentVolume"}, volume})
		}
	case gk == schema.GroupKind{Group: groupRBAC, Kind: "RoleBinding"}:
		if r, ok := boundRole(obj); ok {
			refs = append(refs, r)
		}
	case gk.Group == "cert-manager.io":
		kind, _, _ := unstructured.NestedString(obj.Object, "spec", "issuerRef", "kind")
		name, _, _ := unstructured.NestedString(obj.Object, "spec", "issuerRef", "name")
		if kind == "ClusterIssuer" && name != "" {
			refs = append(refs, ref{schema.GroupKind{Group: "cert-manager.io", Kind: "ClusterIssuer"}, name})
		}
	}
	return refs
}

// boundRole returns the ClusterRole of a binding.
func boundRole(binding *unstructured.Unstructured) (ref, bool) {
	kind, _, _ := unstructured.NestedString(binding.Object, "roleRef", "kind")
	name, _, _ := unstructured.NestedString(binding.Object, "roleRef", "name")
	return ref{schema.GroupKind{Group: groupRBAC, Kind: "ClusterRole"}, name}, kind == "ClusterRole" && name != ""
}

func walk(value any, refs *[]ref) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if gk, ok := classFields(key); ok {
				// system-* priority classes exist in every cluster.
				if name, ok := inner.(string); ok && name != "" && !strings.HasPrefix(name, "system-") {
					*refs = append(*refs, ref{gk, name})
				}
				continue
			}
			walk(inner, refs)
		}
	case []any:
		for _, inner := range v {
			walk(inner, refs)
		}
	}
}

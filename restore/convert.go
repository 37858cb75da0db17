package restore

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A conversion turns an object of a version that green no longer serves into one that it does, in place. It fails where
// the newer version cannot say the same.
type conversion struct {
	to    string
	apply func(o map[string]any) error
}

func same(map[string]any) error { return nil }

// conversions lists, by group, kind and old version, what can be converted without asking blue again. All else is refused
// before anything is written (K16).
//
//	from                                     | to                       | what changes
//	batch/v1beta1 CronJob                    | batch/v1                 | nothing
//	policy/v1beta1 PodDisruptionBudget       | policy/v1                | an empty selector chose nothing and would choose all
//	autoscaling/v2beta2 HPA                  | autoscaling/v2           | nothing
//	networking.k8s.io/v1beta1 Ingress        | networking.k8s.io/v1     | backends, pathType
//	discovery.k8s.io/v1beta1 EndpointSlice   | discovery.k8s.io/v1      | topology
//	rbac, admission … v1beta1                | v1                       | nothing
func conversions() map[key]conversion {
	at := func(group, kind, version string) key { return key{Group: group, Kind: kind, Name: version} }
	table := map[key]conversion{
		at("batch", "CronJob", "v1beta1"):                       {"v1", same},
		at("policy", "PodDisruptionBudget", "v1beta1"):          {"v1", convertBudget},
		at("autoscaling", "HorizontalPodAutoscaler", "v2beta2"): {"v2", same},
		at("networking.k8s.io", "Ingress", "v1beta1"):           {"v1", convertIngress},
		at("extensions", "Ingress", "v1beta1"):                  {"networking.k8s.io/v1", convertIngress},
		at("discovery.k8s.io", "EndpointSlice", "v1beta1"):      {"v1", convertSlice},
	}
	for _, kind := range []string{"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"} {
		table[at("rbac.authorization.k8s.io", kind, "v1beta1")] = conversion{"v1", same}
	}
	return table
}

// convert brings an object to a version that green serves. What green serves comes as the versions of the kind, the
// preferred one first.
func convert(obj *unstructured.Unstructured, served func(group, kind string) []string) error {
	gvk := obj.GroupVersionKind()
	versions := served(gvk.Group, gvk.Kind)
	if slices.Contains(versions, gvk.Version) {
		return nil
	}
	c, ok := conversions()[key{Group: gvk.Group, Kind: gvk.Kind, Name: gvk.Version}]
	if !ok {
		if len(versions) == 0 {
			return fmt.Errorf("green does not serve %s in any version", gvk.GroupKind())
		}
		return fmt.Errorf("green serves %s in %v only, and %s is not convertible here", gvk.GroupKind(), versions, gvk.Version)
	}
	target := gvk.GroupVersion()
	target.Version = c.to
	if gvk.Group == "extensions" {
		target.Group, target.Version = "networking.k8s.io", "v1"
	}
	if !slices.Contains(served(target.Group, gvk.Kind), target.Version) {
		return fmt.Errorf("green serves neither %s nor %s of %s", gvk.GroupVersion(), target, gvk.Kind)
	}
	if err := c.apply(obj.Object); err != nil {
		return fmt.Errorf("convert from %s to %s: %w", gvk.GroupVersion(), target, err)
	}
	obj.SetAPIVersion(target.String())
	return nil
}

func convertBudget(o map[string]any) error {
	selector := dig(o, "spec", "selector")
	if selector != nil && len(selector) == 0 {
		return fmt.Errorf("an empty selector chose no pod in policy/v1beta1 and chooses every pod in policy/v1")
	}
	return nil
}

func convertIngress(o map[string]any) error {
	spec := dig(o, "spec")
	if backend := dig(spec, "backend"); backend != nil {
		delete(spec, "backend")
		spec["defaultBackend"] = convertBackend(backend)
	}
	for _, rule := range digMaps(spec, "rules") {
		for _, path := range digMaps(rule, "http", "paths") {
			if backend := dig(path, "backend"); backend != nil {
				path["backend"] = convertBackend(backend)
			}
			if digString(path, "pathType") == "" {
				path["pathType"] = "ImplementationSpecific"
			}
		}
	}
	return nil
}

func convertBackend(old map[string]any) map[string]any {
	name := digString(old, "serviceName")
	if name == "" {
		return old // a resource, which both versions write alike
	}
	port := map[string]any{}
	switch p := old["servicePort"].(type) {
	case string:
		port["name"] = p
	default:
		port["number"] = p
	}
	return map[string]any{"service": map[string]any{"name": name, "port": port}}
}

func convertSlice(o map[string]any) error {
	for _, endpoint := range digMaps(o, "endpoints") {
		topology := dig(endpoint, "topology")
		delete(endpoint, "topology")
		if node, ok := topology["kubernetes.io/hostname"]; ok {
			endpoint["nodeName"] = node
		}
		if zone, ok := topology["topology.kubernetes.io/zone"]; ok {
			endpoint["zone"] = zone
		}
	}
	return nil
}

package restore

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	rbacGroup      = "rbac.authorization.k8s.io"
	crdGroup       = "apiextensions.k8s.io"
	admissionGroup = "admissionregistration.k8s.io"
)

// A catalog holds the objects of one plan, for finding those that others refer to without naming them.
type catalog struct {
	byKey       map[key]bool
	definitions map[[2]string]key // CRD of a group and kind
	bindings    map[key][]key     // role bindings of a ServiceAccount
	selecting   map[string][]selecting
}

// A selecting object chooses pods by their labels.
type selecting struct {
	key      key
	selector map[string]any
	all      bool
}

func newCatalog(objects []*unstructured.Unstructured) catalog {
	c := catalog{byKey: map[key]bool{}, definitions: map[[2]string]key{}, bindings: map[key][]key{}, selecting: map[string][]selecting{}}
	for _, obj := range objects {
		k := keyOf(obj)
		c.byKey[k] = true
		switch {
		case k.is(crdGroup, "CustomResourceDefinition"):
			spec := dig(obj.Object, "spec")
			c.definitions[[2]string{digString(spec, "group"), digString(spec, "names", "kind")}] = k
		case k.is(rbacGroup, "RoleBinding", "ClusterRoleBinding"):
			for _, s := range digMaps(obj.Object, "subjects") {
				if s["kind"] == "ServiceAccount" {
					account := key{"", "ServiceAccount", digString(s, "namespace"), digString(s, "name")}
					c.bindings[account] = append(c.bindings[account], k)
				}
			}
		case k.is("", "Service"):
			c.selecting[k.Namespace] = append(c.selecting[k.Namespace], selecting{key: k, selector: dig(obj.Object, "spec", "selector")})
		case k.is("networking.k8s.io", "NetworkPolicy"):
			selector := dig(obj.Object, "spec", "podSelector")
			c.selecting[k.Namespace] = append(c.selecting[k.Namespace], selecting{
				key: k, selector: dig(selector, "matchLabels"), all: len(dig(selector, "matchLabels")) == 0,
			})
		case k.is("", "LimitRange"):
			c.selecting[k.Namespace] = append(c.selecting[k.Namespace], selecting{key: k, all: true})
		}
	}
	return c
}

// needs lists the objects of the plan that must be there before an object is made (K15).
func (c catalog) needs(obj *unstructured.Unstructured) []key {
	k := keyOf(obj)
	var out []key
	add := func(group, kind, namespace, name string) {
		if ref := (key{group, kind, namespace, name}); name != "" && ref != k && c.byKey[ref] {
			out = append(out, ref)
		}
	}
	if crd, ok := c.definitions[[2]string{k.Group, k.Kind}]; ok {
		add(crd.Group, crd.Kind, "", crd.Name)
	}
	for _, ref := range obj.GetOwnerReferences() {
		group, _, ok := strings.Cut(ref.APIVersion, "/")
		if !ok {
			group = ""
		}
		add(group, ref.Kind, k.Namespace, ref.Name)
		add(group, ref.Kind, "", ref.Name)
	}
	podTemplates(obj, func(spec, meta map[string]any) {
		c.podNeeds(k, spec, dig(meta, "labels"), add)
	})
	c.kindNeeds(k, obj.Object, add)
	if _, custom := c.definitions[[2]string{k.Group, k.Kind}]; custom || !knownGroup(k.Group) {
		c.customNeeds(k, obj, add)
	}
	slices.SortFunc(out, compareKeys)
	return slices.Compact(out)
}

type adder = func(group, kind, namespace, name string)

func (c catalog) podNeeds(k key, spec, labels map[string]any, add adder) {
	ns := k.Namespace
	account := digString(spec, "serviceAccountName")
	if account == "" {
		account = "default"
	}
	add("", "ServiceAccount", ns, account)
	for _, binding := range c.bindings[key{"", "ServiceAccount", ns, account}] {
		add(binding.Group, binding.Kind, binding.Namespace, binding.Name)
	}
	for _, s := range digMaps(spec, "imagePullSecrets") {
		add("", "Secret", ns, digString(s, "name"))
	}
	for _, s := range c.selecting[ns] {
		if s.all || digMatches(s.selector, labels) {
			add(s.key.Group, s.key.Kind, ns, s.key.Name)
		}
	}
	for _, container := range containers(spec) {
		for _, from := range digMaps(container, "envFrom") {
			add("", "ConfigMap", ns, digString(from, "configMapRef", "name"))
			add("", "Secret", ns, digString(from, "secretRef", "name"))
		}
		for _, env := range digMaps(container, "env") {
			add("", "ConfigMap", ns, digString(env, "valueFrom", "configMapKeyRef", "name"))
			add("", "Secret", ns, digString(env, "valueFrom", "secretKeyRef", "name"))
		}
	}
	for _, volume := range digMaps(spec, "volumes") {
		c.volumeNeeds(ns, volume, add)
		for _, source := range digMaps(volume, "projected", "sources") {
			c.volumeNeeds(ns, source, add)
		}
	}
}

func (c catalog) volumeNeeds(ns string, volume map[string]any, add adder) {
	add("", "ConfigMap", ns, digString(volume, "configMap", "name"))
	add("", "Secret", ns, digString(volume, "secret", "secretName"))
	add("", "Secret", ns, digString(volume, "secret", "name")) // in a projected volume
	add("", "Secret", ns, digString(volume, "csi", "nodePublishSecretRef", "name"))
	add("", "PersistentVolumeClaim", ns, digString(volume, "persistentVolumeClaim", "claimName"))
}

func (c catalog) kindNeeds(k key, o map[string]any, add adder) {
	ns := k.Namespace
	switch {
	case k.is("apps", "StatefulSet"):
		add("", "Service", ns, digString(o, "spec", "serviceName"))
		for claim := range c.byKey { // the claims of its templates are named TEMPLATE-SET-N
			for _, template := range digMaps(o, "spec", "volumeClaimTemplates") {
				if claim.is("", "PersistentVolumeClaim") && claim.Namespace == ns && strings.HasPrefix(claim.Name, fmt.Sprintf("%s-%s-", digString(template, "metadata", "name"), k.Name)) {
					add("", claim.Kind, ns, claim.Name)
				}
			}
		}
	case k.is(rbacGroup, "RoleBinding", "ClusterRoleBinding"):
		role := digString(o, "roleRef", "name")
		add(rbacGroup, "ClusterRole", "", role)
		if digString(o, "roleRef", "kind") == "Role" {
			add(rbacGroup, "Role", ns, role)
		}
		for _, s := range digMaps(o, "subjects") {
			add("", "ServiceAccount", digString(s, "namespace"), digString(s, "name"))
		}
	case k.is("", "ServiceAccount"):
		for _, s := range digMaps(o, "imagePullSecrets") {
			add("", "Secret", ns, digString(s, "name"))
		}
	case k.is("networking.k8s.io", "Ingress"):
		c.ingressNeeds(ns, o, add)
	case k.is("autoscaling", "HorizontalPodAutoscaler"):
		ref := dig(o, "spec", "scaleTargetRef")
		group, _, _ := strings.Cut(digString(ref, "apiVersion"), "/")
		add(group, digString(ref, "kind"), ns, digString(ref, "name"))
	case k.is("", "Endpoints"):
		add("", "Service", ns, k.Name)
	case k.is("discovery.k8s.io", "EndpointSlice"):
		add("", "Service", ns, digString(o, "metadata", "labels", "kubernetes.io/service-name"))
	case k.is(admissionGroup, "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
		for _, hook := range digMaps(o, "webhooks") {
			add("", "Service", digString(hook, "clientConfig", "service", "namespace"), digString(hook, "clientConfig", "service", "name"))
		}
	case k.is("apiregistration.k8s.io", "APIService"):
		add("", "Service", digString(o, "spec", "service", "namespace"), digString(o, "spec", "service", "name"))
	}
}

func (c catalog) ingressNeeds(ns string, o map[string]any, add adder) {
	add("", "Service", ns, digString(o, "spec", "defaultBackend", "service", "name"))
	for _, rule := range digMaps(o, "spec", "rules") {
		for _, path := range digMaps(rule, "http", "paths") {
			add("", "Service", ns, digString(path, "backend", "service", "name"))
		}
	}
	for _, tls := range digMaps(o, "spec", "tls") {
		add("", "Secret", ns, digString(tls, "secretName"))
	}
}

// customNeeds reads the references of a custom resource by the names that APIs commonly give them: a Secret must be there
// before the Certificate that would otherwise issue it again (K13), and so for what any operator looks up.
func (c catalog) customNeeds(k key, obj *unstructured.Unstructured, add adder) {
	walkStrings(obj.DeepCopy().Object["spec"], "spec", func(path, s string) string {
		field := strings.ToLower(path[strings.LastIndex(path, ".")+1:])
		switch {
		case strings.Contains(field, "secret") || strings.Contains(strings.ToLower(path), "secretref.") || strings.Contains(strings.ToLower(path), "secretkeyref."):
			add("", "Secret", k.Namespace, s)
		case strings.Contains(field, "configmap") || strings.Contains(strings.ToLower(path), "configmapref.") || strings.Contains(strings.ToLower(path), "configmapkeyref."):
			add("", "ConfigMap", k.Namespace, s)
		case strings.Contains(field, "serviceaccount"):
			add("", "ServiceAccount", k.Namespace, s)
		}
		return s
	})
}

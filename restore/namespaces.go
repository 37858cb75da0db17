package restore

import (
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const nameLabel = "kubernetes.io/metadata.name"

// namespaceMap gives namespaces their names on green everywhere that an API types them as namespaces (K18). Text that
// merely looks like one is reported by mentions and left alone.
type namespaceMap map[string]string

// of returns green's name of a namespace.
func (m namespaceMap) of(namespace string) string {
	if to, ok := m[namespace]; ok {
		return to
	}
	return namespace
}

// moved reports whether any namespace is called otherwise on green.
func (m namespaceMap) moved() bool {
	for from, to := range m {
		if from != to {
			return true
		}
	}
	return false
}

// field maps the string of one field.
func (m namespaceMap) field(at map[string]any, name string) {
	if s, ok := at[name].(string); ok && s != "" {
		at[name] = m.of(s)
	}
}

func (m namespaceMap) list(items []any) {
	for i, item := range items {
		if s, ok := item.(string); ok {
			items[i] = m.of(s)
		}
	}
}

// apply maps an object and all that it refers to.
func (m namespaceMap) apply(obj *unstructured.Unstructured) {
	o, k := obj.Object, keyOf(obj)
	if k.Namespace != "" {
		obj.SetNamespace(m.of(k.Namespace))
	}
	m.annotations(obj)
	podTemplates(obj, func(spec, _ map[string]any) { m.podSpec(spec) })
	switch {
	case k.Group == "rbac.authorization.k8s.io":
		m.rbac(o)
	case k.is("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
		for _, hook := range digMaps(o, "webhooks") {
			m.field(dig(hook, "clientConfig", "service"), "namespace")
			m.selector(dig(hook, "namespaceSelector"))
		}
	case k.is("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"):
		m.selector(dig(o, "spec", "matchConstraints", "namespaceSelector"))
		m.selector(dig(o, "spec", "matchResources", "namespaceSelector"))
		m.field(dig(o, "spec", "paramRef"), "namespace")
	case k.is("apiregistration.k8s.io", "APIService"):
		m.field(dig(o, "spec", "service"), "namespace")
	case k.is("apiextensions.k8s.io", "CustomResourceDefinition"):
		m.field(dig(o, "spec", "conversion", "webhook", "clientConfig", "service"), "namespace")
	case k.is("networking.k8s.io", "NetworkPolicy"):
		for _, side := range []struct{ rules, peers string }{{"ingress", "from"}, {"egress", "to"}} {
			for _, rule := range digMaps(o, "spec", side.rules) {
				for _, peer := range digMaps(rule, side.peers) {
					m.selector(dig(peer, "namespaceSelector"))
				}
			}
		}
	case k.is("", "PersistentVolume"):
		m.field(dig(o, "spec", "claimRef"), "namespace")
	case k.is("", "Endpoints", "EndpointSlice"), k.is("discovery.k8s.io", "EndpointSlice"):
		m.targets(o)
	case k.Group == "monitoring.coreos.com":
		m.list(digList(o, "spec", "namespaceSelector", "matchNames"))
	case k.Group == "gateway.networking.k8s.io":
		m.everyNamespaceField(dig(o, "spec"))
	}
}

func (m namespaceMap) rbac(o map[string]any) {
	for _, subject := range digMaps(o, "subjects") {
		m.field(subject, "namespace")
		switch name := digString(subject, "name"); {
		case strings.HasPrefix(name, "system:serviceaccount:"):
			parts := strings.Split(name, ":")
			if len(parts) == 4 {
				parts[2] = m.of(parts[2])
				subject["name"] = strings.Join(parts, ":")
			}
		case strings.HasPrefix(name, "system:serviceaccounts:"):
			subject["name"] = "system:serviceaccounts:" + m.of(strings.TrimPrefix(name, "system:serviceaccounts:"))
		}
	}
	for _, rule := range digMaps(o, "rules") {
		if resources := digList(rule, "resources"); len(resources) == 1 && resources[0] == "namespaces" {
			m.list(digList(rule, "resourceNames"))
		}
	}
}

// selector maps the values of the label that every namespace carries with its own name.
func (m namespaceMap) selector(selector map[string]any) {
	m.field(dig(selector, "matchLabels"), nameLabel)
	for _, expression := range digMaps(selector, "matchExpressions") {
		if expression["key"] == nameLabel {
			m.list(digList(expression, "values"))
		}
	}
}

func (m namespaceMap) podSpec(spec map[string]any) {
	for _, kind := range []string{"podAffinity", "podAntiAffinity"} {
		terms := digMaps(spec, "affinity", kind, "requiredDuringSchedulingIgnoredDuringExecution")
		for _, weighted := range digMaps(spec, "affinity", kind, "preferredDuringSchedulingIgnoredDuringExecution") {
			terms = append(terms, dig(weighted, "podAffinityTerm"))
		}
		for _, term := range terms {
			m.list(digList(term, "namespaces"))
			m.selector(dig(term, "namespaceSelector"))
		}
	}
}

func (m namespaceMap) targets(o map[string]any) {
	for _, endpoint := range digMaps(o, "endpoints") {
		m.field(dig(endpoint, "targetRef"), "namespace")
	}
	for _, subset := range digMaps(o, "subsets") {
		for _, field := range []string{"addresses", "notReadyAddresses"} {
			for _, address := range digMaps(subset, field) {
				m.field(dig(address, "targetRef"), "namespace")
			}
		}
	}
}

// annotations maps those that name an object as namespace/name.
func (m namespaceMap) annotations(obj *unstructured.Unstructured) {
	annotations := dig(obj.Object, "metadata", "annotations")
	for _, name := range []string{"cert-manager.io/inject-ca-from", "cert-manager.io/inject-ca-from-secret"} {
		if namespace, rest, ok := strings.Cut(digString(annotations, name), "/"); ok {
			annotations[name] = m.of(namespace) + "/" + rest
		}
	}
}

// everyNamespaceField maps each field called namespace of an API that uses the word for nothing else.
func (m namespaceMap) everyNamespaceField(value any) {
	switch v := value.(type) {
	case map[string]any:
		m.field(v, "namespace")
		for _, item := range v {
			m.everyNamespaceField(item)
		}
	case []any:
		for _, item := range v {
			m.everyNamespaceField(item)
		}
	}
}

// untyped lists the fields called namespace, in an API that Crossfade does not know, that hold the name of a namespace
// that moves. They may or may not mean it: they are reported.
func (m namespaceMap) untyped(obj *unstructured.Unstructured) []string {
	if knownGroup(obj.GroupVersionKind().Group) {
		return nil
	}
	var found []string
	walkStrings(obj.DeepCopy().Object["spec"], "spec", func(path, s string) string {
		field := strings.ToLower(path[strings.LastIndex(path, ".")+1:])
		if m.of(s) != s && strings.Contains(field, "namespace") {
			found = append(found, path+": "+s)
		}
		return s
	})
	slices.Sort(found)
	return slices.Compact(found)
}

// knownGroup reports whether a group is Kubernetes' own, or one that apply maps.
func knownGroup(group string) bool {
	return !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io") || group == "monitoring.coreos.com"
}

var serviceName = regexp.MustCompile(`[a-z0-9](?:[-a-z0-9]*[a-z0-9])?\.([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)(?:\.svc\b|:\d{2,5}\b)`)

// mentions lists the names of Services in text (service.namespace.svc, service.namespace:port) whose namespace is called
// otherwise on green: in environment, arguments, ConfigMaps and external names. Text is never rewritten unless a patch of
// the migration file does it.
func (m namespaceMap) mentions(obj *unstructured.Unstructured) []string {
	if !m.moved() || obj.GetKind() == "Secret" {
		return nil // a Secret's text is nobody's to print
	}
	var found []string
	look := func(path, s string) string {
		for _, hit := range serviceName.FindAllStringSubmatch(s, -1) {
			if m.of(hit[1]) != hit[1] {
				found = append(found, path+": "+hit[0])
			}
		}
		return s
	}
	for _, field := range []string{"spec", "data"} {
		walkStrings(obj.Object[field], field, look)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

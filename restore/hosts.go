package restore

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// mapHosts gives hosts their names on green: in rules, TLS and annotations of an Ingress, and in the hostnames of routes.
func mapHosts(obj *unstructured.Unstructured, hosts map[string]string) {
	if len(hosts) == 0 {
		return
	}
	switch {
	case obj.GetKind() == "Ingress":
		for _, rule := range digMaps(obj.Object, "spec", "rules") {
			mapField(rule, "host", hosts)
		}
		for _, tls := range digMaps(obj.Object, "spec", "tls") {
			mapList(digList(tls, "hosts"), hosts)
		}
		mapHostAnnotations(obj, hosts)
	case obj.GroupVersionKind().Group == "gateway.networking.k8s.io":
		mapList(digList(obj.Object, "spec", "hostnames"), hosts)
		for _, listener := range digMaps(obj.Object, "spec", "listeners") {
			mapField(listener, "hostname", hosts)
		}
		mapHostAnnotations(obj, hosts)
	case obj.GetKind() == "Service":
		mapHostAnnotations(obj, hosts)
	}
}

func mapList(items []any, table map[string]string) {
	for i, item := range items {
		if s, ok := item.(string); ok && table[s] != "" {
			items[i] = table[s]
		}
	}
}

// mapHostAnnotations maps the annotations whose whole value is a list of hosts, such as those that name a record.
func mapHostAnnotations(obj *unstructured.Unstructured, hosts map[string]string) {
	annotations := dig(obj.Object, "metadata", "annotations")
	for name, value := range annotations {
		text, ok := value.(string)
		if !ok {
			continue
		}
		parts := strings.Split(text, ",")
		for i, part := range parts {
			if to, ok := hosts[strings.TrimSpace(part)]; ok {
				parts[i] = to
			}
		}
		annotations[name] = strings.Join(parts, ",")
	}
}

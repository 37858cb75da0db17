package backend

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Target is one Service that a rule sends requests to.
type Target struct {
	// Namespace is empty for that of the object itself. An Ingress can send to no other.
	Namespace string `json:"namespace,omitempty"`
	Service   string `json:"service"`
	// Port is a number, or, in an Ingress, a name.
	Port Port `json:"port"`
	// Weight among the targets of one rule; nil is 1. An Ingress has none.
	Weight *int64 `json:"weight,omitempty"`
}

// Port is a Service's port, by its number or by its name.
type Port struct {
	Number int64  `json:"number,omitempty"`
	Name   string `json:"name,omitempty"`
}

// String is the port as people write it.
func (p Port) String() string {
	if p.Name != "" {
		return p.Name
	}
	return fmt.Sprint(p.Number)
}

// String names the target: "web:80", "shop-green/web:80 (weight 30)".
func (t Target) String() string {
	text := t.Service + ":" + t.Port.String()
	if t.Namespace != "" {
		text = t.Namespace + "/" + text
	}
	if t.Weight != nil {
		text += fmt.Sprintf(" (weight %d)", *t.Weight)
	}
	return text
}

// Replace returns rules of which every target has become those that f gives for it. All else in the rules stays as it is. A
// backend that is no Service is an error. In an Ingress each target becomes exactly one, in the same namespace.
func Replace(kind string, rules json.RawMessage, f func(Target) ([]Target, error)) (json.RawMessage, error) {
	return changed(rules, func(rule map[string]any) error {
		if kind == Ingress {
			return replaceInPaths(rule, f)
		}
		return replaceInRefs(rule, f)
	})
}

// changed returns rules of which each has been changed.
func changed(rules json.RawMessage, change func(rule map[string]any) error) (json.RawMessage, error) {
	list, err := decode(rules)
	if err != nil {
		return nil, err
	}
	for _, rule := range list {
		m, ok := rule.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("a rule is not an object")
		}
		if err := change(m); err != nil {
			return nil, err
		}
	}
	return json.Marshal(list)
}

// Targets are those of the rules, each once, in their order. Weights are left out.
func Targets(kind string, rules json.RawMessage) ([]Target, error) {
	var all []Target
	seen := map[Target]bool{}
	_, err := Replace(kind, rules, func(t Target) ([]Target, error) {
		bare := t
		bare.Weight = nil
		if !seen[bare] {
			seen[bare] = true
			all = append(all, bare)
		}
		return []Target{t}, nil
	})
	return all, err
}

// backendsOf returns the backends of an Ingress's rule, with their paths.
func backendsOf(rule map[string]any) (paths []string, backends []map[string]any) {
	http, _ := rule["http"].(map[string]any)
	list, _ := http["paths"].([]any)
	for _, p := range list {
		m, _ := p.(map[string]any)
		b, _ := m["backend"].(map[string]any)
		path, _ := m["path"].(string)
		paths, backends = append(paths, path), append(backends, b)
	}
	return paths, backends
}

func replaceInPaths(rule map[string]any, f func(Target) ([]Target, error)) error {
	paths, backends := backendsOf(rule)
	for i, b := range backends {
		service, ok := b["service"].(map[string]any)
		if !ok {
			return fmt.Errorf("the backend of path %s is no Service", paths[i])
		}
		is := ingressTarget(service)
		to, err := f(is)
		if err != nil {
			return err
		}
		if len(to) != 1 || to[0].Namespace != "" || to[0].Weight != nil {
			return fmt.Errorf("an Ingress sends a path to one Service of its own namespace: %v", to)
		}
		if to[0] == is {
			continue
		}
		service["name"] = to[0].Service
		if port := to[0].Port; port != is.Port {
			service["port"] = map[string]any{"number": port.Number}
			if port.Name != "" {
				service["port"] = map[string]any{"name": port.Name}
			}
		}
	}
	return nil
}

func ingressTarget(service map[string]any) Target {
	t := Target{}
	t.Service, _ = service["name"].(string)
	port, _ := service["port"].(map[string]any)
	t.Port.Number, _ = port["number"].(int64)
	t.Port.Name, _ = port["name"].(string)
	return t
}

// replaceInRefs gives each reference's filters to what takes its place.
func replaceInRefs(rule map[string]any, f func(Target) ([]Target, error)) error {
	refs, ok := rule["backendRefs"].([]any)
	if !ok {
		return nil // it redirects, say
	}
	var all []any
	for _, ref := range refs {
		m, err := serviceRef(ref)
		if err != nil {
			return err
		}
		to, err := f(routeTarget(m))
		if err != nil {
			return err
		}
		for _, t := range to {
			next := map[string]any{}
			for k, v := range m {
				next[k] = v
			}
			t.into(next)
			all = append(all, next)
		}
	}
	rule["backendRefs"] = all
	return nil
}

// serviceRef is a reference to a backend, which must be a Service.
func serviceRef(ref any) (map[string]any, error) {
	m, ok := ref.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a backend is not an object")
	}
	if group, _ := m["group"].(string); group != "" {
		return nil, fmt.Errorf("a backend is no Service but of the group %s", group)
	}
	if kind, there := m["kind"].(string); there && kind != "Service" {
		return nil, fmt.Errorf("a backend is a %s and no Service", kind)
	}
	return m, nil
}

func routeTarget(ref map[string]any) Target {
	t := Target{}
	t.Namespace, _ = ref["namespace"].(string)
	t.Service, _ = ref["name"].(string)
	t.Port.Number, _ = ref["port"].(int64)
	if w, ok := ref["weight"].(int64); ok {
		t.Weight = &w
	}
	return t
}

func (t Target) into(ref map[string]any) {
	ref["name"] = t.Service
	set := func(field string, value any, there bool) {
		if ref[field] = value; !there {
			delete(ref, field)
		}
	}
	set("namespace", t.Namespace, t.Namespace != "")
	set("port", t.Port.Number, t.Port.Number != 0)
	switch _, said := ref["weight"]; {
	case t.Weight != nil:
		ref["weight"] = *t.Weight
	case said:
		ref["weight"] = int64(1) // the server's default, which it would add
	}
}

func describeRule(rule any) []string {
	m, _ := rule.(map[string]any)
	var parts []string
	paths, backends := backendsOf(m)
	for i, b := range backends {
		where := "a resource"
		if service, ok := b["service"].(map[string]any); ok {
			where = ingressTarget(service).String()
		}
		parts = append(parts, strings.TrimSpace(paths[i]+" → "+where))
	}
	if refs, ok := m["backendRefs"].([]any); ok {
		var to []string
		for _, ref := range refs {
			r, _ := ref.(map[string]any)
			to = append(to, routeTarget(r).String())
		}
		parts = append(parts, strings.TrimSpace(pathsOf(m)+" → "+strings.Join(to, " + ")))
	}
	return parts
}

// pathsOf are the paths that a rule of an HTTPRoute matches.
func pathsOf(rule map[string]any) string {
	matches, _ := rule["matches"].([]any)
	var paths []string
	for _, match := range matches {
		m, _ := match.(map[string]any)
		path, _ := m["path"].(map[string]any)
		if value, _ := path["value"].(string); value != "" {
			paths = append(paths, value)
		}
	}
	return strings.Join(paths, "|")
}

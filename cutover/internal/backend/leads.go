package backend

import (
	"encoding/json"
	"strings"
)

// Leads returns where rules send a path: to the target of the longest path that fits, an exact one first. Other conditions than
// paths are not looked at, and of several targets of a rule it is the first.
func Leads(kind string, rules json.RawMessage, path string) (Target, bool) {
	list, err := decode(rules)
	if err != nil {
		return Target{}, false
	}
	best, found, length := Target{}, false, -1
	take := func(t Target, pattern, how string) {
		n := fit(pattern, how, path)
		if n > length {
			best, found, length = t, true, n
		}
	}
	for _, rule := range list {
		m, _ := rule.(map[string]any)
		if kind == Ingress {
			http, _ := m["http"].(map[string]any)
			paths, _ := http["paths"].([]any)
			for _, p := range paths {
				one, _ := p.(map[string]any)
				b, _ := one["backend"].(map[string]any)
				service, ok := b["service"].(map[string]any)
				pattern, _ := one["path"].(string)
				how, _ := one["pathType"].(string)
				if ok {
					take(ingressTarget(service), pattern, how)
				}
			}
			continue
		}
		refs, _ := m["backendRefs"].([]any)
		if len(refs) == 0 {
			continue
		}
		first, _ := refs[0].(map[string]any)
		matches, _ := m["matches"].([]any)
		if len(matches) == 0 {
			take(routeTarget(first), "/", "PathPrefix")
		}
		for _, match := range matches {
			one, _ := match.(map[string]any)
			p, _ := one["path"].(map[string]any)
			pattern, _ := p["value"].(string)
			how, _ := p["type"].(string)
			take(routeTarget(first), pattern, how)
		}
	}
	return best, found
}

// fit says how well a pattern fits a path, -1 where it does not: prefixes end at the border of an element.
func fit(pattern, how, path string) int {
	path, _, _ = strings.Cut("/"+strings.TrimPrefix(path, "/"), "?")
	if pattern == "" {
		pattern = "/"
	}
	switch how {
	case "Exact":
		if path == pattern {
			return len(path) + 1
		}
		return -1
	case "RegularExpression":
		return -1
	}
	bare := strings.TrimSuffix(pattern, "/")
	if path == bare || strings.HasPrefix(path, bare+"/") {
		return len(bare)
	}
	return -1
}

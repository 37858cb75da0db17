package scaffold

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// labelKeys are the labels by which people tell applications apart, the most telling first.
func labelKeys() []string {
	return []string{"app.kubernetes.io/instance", "app.kubernetes.io/name", "app", "k8s-app", "release"}
}

// group is the workloads of one application, and the selector that chooses them and no others.
type group struct {
	name, selector string
	workloads      []Workload
}

// groupWorkloads splits a namespace into applications.
//
//	every workload has one of the usual labels     | one application for each of its values
//	each has one, but not the same                 | one for each label and value, unless two would choose the same workload
//	only some have one, or two choose the same     | the whole namespace is one application
//	there is only one value                        | the whole namespace is one application
func groupWorkloads(ns Namespace) []group {
	var keys []string
	for _, key := range labelKeys() {
		keys = append(keys, key)
		if groups := groupBy(ns.Workloads, []string{key}); groups != nil {
			return orWhole(ns, groups)
		}
	}
	if groups := groupBy(ns.Workloads, keys); groups != nil && apart(groups, ns.Workloads) {
		return orWhole(ns, groups)
	}
	return orWhole(ns, nil)
}

// groupBy gives each workload to the group of the first of the keys that it has; nil where one has none, or a value that a
// selector cannot name.
func groupBy(workloads []Workload, keys []string) []group {
	var groups []group
	for _, w := range workloads {
		key := ""
		for _, k := range keys {
			if w.Labels[k] != "" {
				key = k
				break
			}
		}
		if key == "" {
			return nil
		}
		selector := key + "=" + w.Labels[key]
		i := slices.IndexFunc(groups, func(g group) bool { return g.selector == selector })
		if i < 0 {
			groups = append(groups, group{name: w.Labels[key], selector: selector})
			i = len(groups) - 1
		}
		groups[i].workloads = append(groups[i].workloads, w)
	}
	return groups
}

// apart reports whether no selector chooses another group's workload.
func apart(groups []group, all []Workload) bool {
	for _, g := range groups {
		selector, err := labels.Parse(g.selector)
		if err != nil {
			return false
		}
		for _, w := range all {
			mine := slices.ContainsFunc(g.workloads, func(x Workload) bool { return x.Kind == w.Kind && x.Name == w.Name })
			if selector.Matches(labels.Set(w.Labels)) != mine {
				return false
			}
		}
	}
	return true
}

func orWhole(ns Namespace, groups []group) []group {
	if len(groups) > 1 {
		slices.SortFunc(groups, func(a, b group) int { return strings.Compare(a.name+a.selector, b.name+b.selector) })
		return groups
	}
	name := ns.Name
	if len(groups) == 1 {
		name = groups[0].name
	}
	return []group{{name: name, workloads: ns.Workloads}}
}

// appName makes a name that the file takes of any text, one that is not taken yet.
func appName(text, namespace string, taken map[string]bool) string {
	clean := func(s string) string {
		s = strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
				return r
			}
			return '-'
		}, strings.ToLower(s))
		return strings.Trim(s[:min(len(s), 53)], "-")
	}
	name := clean(text)
	if name == "" {
		name = "application"
	}
	if taken[name] {
		name = clean(namespace + "-" + text)
	}
	for i := 2; taken[name]; i++ {
		name = clean(fmt.Sprintf("%.48s-%d", clean(text), i))
	}
	taken[name] = true
	return name
}

// podsChosen reports whether a selector chooses the pods of exactly these workloads among those of the namespace.
func podsChosen(selector string, mine, all []Workload) bool {
	s, err := labels.Parse(selector)
	if err != nil {
		return false
	}
	for _, w := range all {
		is := slices.ContainsFunc(mine, func(x Workload) bool { return x.Kind == w.Kind && x.Name == w.Name })
		if !w.job() && s.Matches(labels.Set(w.PodLabels)) != is {
			return false
		}
	}
	return true
}

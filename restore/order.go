package restore

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// order puts objects into levels: what an object needs is in a lower level, and objects of one level are independent of
// each other. The order follows from the objects' references alone (K15), but for what would stand in others' way:
// quotas come after what they would count (K14), admission webhooks after all that they would judge (K12).
//
// A circle of references is broken at the object that sorts first; circles names it.
func order(objects []*unstructured.Unstructured) (levels map[key]int, circles []key) {
	c := newCatalog(objects)
	needs := map[key][]key{}
	var keys []key
	for _, obj := range objects {
		k := keyOf(obj)
		keys = append(keys, k)
		needs[k] = c.needs(obj)
	}
	slices.SortFunc(keys, compareKeys)
	levels = map[key]int{}
	top := 0
	for len(keys) > 0 {
		ready, rest := split(keys, func(k key) bool {
			return !slices.ContainsFunc(needs[k], func(n key) bool { _, done := levels[n]; return !done })
		})
		if len(ready) == 0 {
			ready, rest = keys[:1:1], keys[1:]
			circles = append(circles, ready[0])
		}
		for _, k := range ready {
			level := 0
			for _, n := range needs[k] {
				if at, done := levels[n]; done {
					level = max(level, at+1)
				}
			}
			levels[k], top = level, max(top, level)
		}
		keys = rest
	}
	for k := range levels {
		switch {
		case k.is("", "ResourceQuota"):
			levels[k] = top + 1
		case isAdmissionWebhook(k):
			levels[k] = top + 2
		}
	}
	return levels, circles
}

func isAdmissionWebhook(k key) bool {
	return k.is(admissionGroup, "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
}

// split sorts keys into those that fulfil a condition and the rest. The condition is read for all before any is taken.
func split(keys []key, is func(key) bool) (yes, no []key) {
	for _, k := range keys {
		if is(k) {
			yes = append(yes, k)
		} else {
			no = append(no, k)
		}
	}
	return yes, no
}

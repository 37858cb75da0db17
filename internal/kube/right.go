package kube

import (
	"cmp"
	"slices"
	"strings"
)

// ComponentRights is the value of LabelComponent on the roles that this project printed: they are an administrator's, and no
// part of an application.
const ComponentRights = "rights"

// ComponentEntry is the value of LabelComponent on what leads users' requests to green where a name does not move: it is needed
// for as long as they come that way, and only what made it takes it away.
const ComponentEntry = "entry"

// A Right is what a step has to be allowed to do on one side. Each step declares its own, beside the code that needs them.
type Right struct {
	// Side is "blue" or "green".
	Side string
	// Namespace in which the right is needed; empty is the whole cluster.
	Namespace string
	Group     string
	// Resource is the plural, with its subresource: "deployments", "pods/proxy".
	Resource string
	// URL is a path of the server that is no resource; it stands in the place of group and resource.
	URL   string
	Verbs []string
	// Names are the only objects that are meant; empty means all. Verbs that no name can limit (list, watch, create,
	// deletecollection) stand in rights of their own.
	Names []string
	// Why says which step needs it, and what for: "export: every object of the application is read".
	Why string
	// Granted marks what is held only so that it can be given on: a server lets nobody write a role that holds more than he.
	Granted bool
}

// A Rule is one rule of a printed role: rights of one place that are needed for the same reasons. No two rules of one place
// grant the same thing, so that none could be taken away unnoticed.
type Rule struct {
	Side      string   `json:"side"`
	Namespace string   `json:"namespace,omitempty"`
	Groups    []string `json:"apiGroups,omitempty"`
	Resources []string `json:"resources,omitempty"`
	URLs      []string `json:"nonResourceURLs,omitempty"`
	Verbs     []string `json:"verbs"`
	Names     []string `json:"resourceNames,omitempty"`
	Why       []string `json:"why"`
	// Granted marks what is held only so that it can be given on.
	Granted bool `json:"granted,omitempty"`
}

// atom is the least that can be granted: one verb on one resource in one place, of one object or of all.
type atom struct{ side, namespace, group, resource, url, verb, name string }

// need is why an atom is needed.
type need struct {
	why     []string
	granted bool
}

// Rules joins rights into rules. What a broader right covers is not granted twice: its reason moves to the broader one.
func Rules(rights []Right) []Rule {
	atoms := map[atom]need{}
	for _, r := range rights {
		names := r.Names
		if len(names) == 0 {
			names = []string{""}
		}
		for _, verb := range r.Verbs {
			for _, name := range names {
				at := atom{r.Side, r.Namespace, r.Group, r.Resource, r.URL, verb, name}
				n, known := atoms[at]
				if !slices.Contains(n.why, r.Why) {
					n.why = append(n.why, r.Why)
				}
				n.granted = r.Granted && (!known || n.granted)
				atoms[at] = n
			}
		}
	}
	absorb(atoms)
	return gather(atoms)
}

// covers reports whether a grants all that b grants.
func (a atom) covers(b atom) bool {
	is := func(wide, narrow, all string) bool { return wide == all || wide == narrow }
	return a != b && a.side == b.side && a.url == b.url && is(a.namespace, b.namespace, "") && is(a.name, b.name, "") &&
		is(a.group, b.group, "*") && is(a.resource, b.resource, "*") && is(a.verb, b.verb, "*")
}

// breadth is larger for an atom than for any that it covers.
func (a atom) breadth() int {
	n := 0
	for _, all := range []bool{a.namespace == "", a.name == "", a.group == "*", a.resource == "*", a.verb == "*"} {
		if all {
			n++
		}
	}
	return n
}

// absorb moves each atom into one that covers it. The widest come first, so that nothing is moved twice.
func absorb(atoms map[atom]need) {
	var wide []atom
	for a := range atoms {
		if a.name == "" && (a.namespace == "" || a.group == "*" || a.resource == "*" || a.verb == "*") {
			wide = append(wide, a)
		}
	}
	slices.SortFunc(wide, func(a, b atom) int { return b.breadth() - a.breadth() })
	move := func(from, into atom) {
		n, other := atoms[from], atoms[into]
		for _, why := range n.why {
			if !slices.Contains(other.why, why) {
				other.why = append(other.why, why)
			}
		}
		other.granted = other.granted && n.granted
		atoms[into] = other
		delete(atoms, from)
	}
	for a := range atoms {
		all := a
		all.name = ""
		i := slices.IndexFunc(wide, func(w atom) bool { _, there := atoms[w]; return there && w.covers(a) })
		_, named := atoms[all]
		switch {
		case i >= 0:
			move(a, wide[i])
		case a.name != "" && named:
			move(a, all)
		}
	}
}

// gather joins atoms that are needed for the same reasons: first the names and verbs of one resource, then resources.
func gather(atoms map[atom]need) []Rule {
	rules := make([]Rule, 0, len(atoms))
	for a, n := range atoms {
		slices.Sort(n.why)
		r := Rule{Side: a.side, Namespace: a.namespace, Groups: []string{a.group}, Resources: []string{a.resource}, Verbs: []string{a.verb}, Why: n.why, Granted: n.granted}
		if a.url != "" {
			r.Groups, r.Resources, r.URLs = nil, nil, []string{a.url}
		}
		if a.name != "" {
			r.Names = []string{a.name}
		}
		rules = append(rules, r)
	}
	for _, part := range []func(*Rule) *[]string{
		func(r *Rule) *[]string { return &r.Names },
		func(r *Rule) *[]string { return &r.Verbs },
		func(r *Rule) *[]string { return &r.Resources },
	} {
		rules = join(rules, part)
	}
	slices.SortFunc(rules, func(a, b Rule) int {
		return cmp.Or(
			cmp.Compare(a.Side, b.Side), cmp.Compare(a.Namespace, b.Namespace), slices.Compare(a.Why, b.Why),
			slices.Compare(a.Groups, b.Groups), slices.Compare(a.Resources, b.Resources), slices.Compare(a.Verbs, b.Verbs), slices.Compare(a.Names, b.Names),
		)
	})
	return rules
}

// join makes one rule of those that differ in one part only. A rule for all objects has no names to join.
func join(rules []Rule, part func(*Rule) *[]string) []Rule {
	joined := map[string]*Rule{}
	for _, r := range rules {
		same := r
		*part(&same) = nil
		key := strings.Join([]string{
			same.Side, same.Namespace, strings.Join(same.Groups, ","), strings.Join(same.Resources, ","), strings.Join(same.URLs, ","), strings.Join(same.Verbs, ","),
			strings.Join(same.Names, ","), strings.Join(same.Why, "\n"),
		}, "\x00")
		if len(r.Names) == 0 {
			key += "\x00all" // its missing names are not nothing but everything
		}
		if same.Granted {
			key += "\x00granted"
		}
		into, ok := joined[key]
		if !ok {
			joined[key] = &r
			continue
		}
		*part(into) = append(slices.Clone(*part(into)), *part(&r)...)
	}
	out := make([]Rule, 0, len(joined))
	for _, r := range joined {
		list := part(r)
		slices.Sort(*list)
		out = append(out, *r)
	}
	return out
}

package ports

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/internal/plan"
)

// Use says what a number is for.
type Use string

// Uses of a number of the node-port pool.
const (
	NodePort    Use = "nodePort"
	HealthCheck Use = "healthCheckNodePort"
)

// A Want is one number that a Service of blue holds.
type Want struct {
	Port int32 `json:"port"`
	// Namespace and Service, as blue calls them.
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	// GreenNamespace is what green calls the namespace; empty means the same.
	GreenNamespace string `json:"greenNamespace,omitempty"`
	// Name is the port's name, and Protocol its protocol; both are empty for a health check.
	Name     string `json:"name,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Use      Use    `json:"use"`
	// Unneeded says that the Service asks for no node ports: a number is mapped only where the file lists it.
	Unneeded bool `json:"unneeded,omitempty"`
}

func (w Want) owner() string { return w.Namespace + "/" + w.Service }

// on is the Service on green.
func (w Want) on() string {
	if w.GreenNamespace == "" {
		return w.owner()
	}
	return w.GreenNamespace + "/" + w.Service
}

// Used is one number that something on green holds.
type Used struct {
	Port      int32  `json:"port"`
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	// Ours says that this migration made the Service: restored again, it keeps its number.
	Ours bool `json:"ours,omitempty"`
	// Name, Protocol and Use tell the Service's numbers apart.
	Name     string `json:"name,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Use      Use    `json:"use"`
}

// Range is green's pool of node ports, both ends included.
type Range struct {
	From int32 `json:"from"`
	To   int32 `json:"to"`
}

// Size is how many numbers the range has.
func (r Range) Size() int32 { return r.To - r.From + 1 }

// Has reports whether a number is in the range.
func (r Range) Has(port int32) bool { return port >= r.From && port <= r.To }

// StaticBand is how many numbers from the range's start the API server gives out last: what is chosen by hand goes there
// (KEP-3668).
func (r Range) StaticBand() int32 { return min(max(16, r.Size()/32), 128, r.Size()) }

// A HostPort is a port of the node itself that a pod of blue takes.
type HostPort struct {
	Port     int32  `json:"port"`
	Protocol string `json:"protocol"`
	Owner    string `json:"owner"`
	// Network says that the pod lives in the node's network, so that every port of it is the node's.
	Network bool `json:"network,omitempty"`
}

// Input is all that the plan depends on. The zero value has no wants and gives an empty map.
type Input struct {
	Wants []Want `json:"wants,omitempty"`
	Used  []Used `json:"used,omitempty"`
	Range Range  `json:"range"`
	// Explicit is what the migration file maps.
	Explicit map[int32]int32 `json:"explicit,omitempty"`
	// HostPorts are those of blue's pods, Taken those of green's.
	HostPorts []HostPort `json:"hostPorts,omitempty"`
	Taken     []HostPort `json:"taken,omitempty"`
	// Mentions are numbers that stand in blue's text, "where: text", by number.
	Mentions map[int32][]string `json:"mentions,omitempty"`
}

// Mapped is one line of a Map.
type Mapped struct {
	Want
	New int32  `json:"new"`
	Why string `json:"why"`
}

// Map is blue's numbers and green's, one to one, sorted by blue's.
type Map []Mapped

// Map returns the numbers alone, as restore takes them.
func (m Map) Map() map[int32]int32 {
	out := make(map[int32]int32, len(m))
	for _, line := range m {
		out[line.Port] = line.New
	}
	return out
}

// Reverse returns green's numbers and blue's.
func (m Map) Reverse() map[int32]int32 {
	out := make(map[int32]int32, len(m))
	for _, line := range m {
		out[line.New] = line.Port
	}
	return out
}

// Planned is the outcome of Plan.
type Planned struct {
	Map      Map            `json:"map"`
	Notes    []plan.Note    `json:"notes,omitempty"`
	Refusals []plan.Refusal `json:"refusals,omitempty"`
}

// Stage turns the outcome into the plan of a stage. It has no changes: restore brings the numbers to green with the Services.
func (p Planned) Stage(migration, stage string) *plan.Plan {
	out := plan.New(migration, stage)
	out.Notes, out.Refusals, out.Data = p.Notes, p.Refusals, plan.JSON(p.Map)
	return out
}

// A planner is one call of Plan under way.
type planner struct {
	in    Input
	out   Planned
	taken map[int32]string // who has a number on green, or will
	nodes map[int32]string // who takes a port of the nodes themselves
	next  int32
}

// Plan gives every wanted number one on green, without a collision in the whole cluster, and the same one for the same
// input in any order:
//
//	blue's number                                  | green's
//	listed in the file                             | the listed one, or refused where that is taken or out of range
//	held by our Service there already              | that one
//	free on green and in its range                 | the same
//	taken, or out of range                         | the lowest free one of the static band, then of the rest
//	of a Service that wants no node ports          | none
func Plan(in Input) Planned {
	p := &planner{in: in, taken: map[int32]string{}, nodes: map[int32]string{}}
	for _, h := range slices.Concat(in.Taken, in.HostPorts) {
		p.nodes[h.Port] = h.Owner
	}
	wants := p.oneOwnerEach()
	if len(wants) > 0 && (in.Range.From < 1 || in.Range.To < in.Range.From) {
		p.refuse("node ports", "green's range is not known", "give this account the right to try a Service, or the range")
		return p.out
	}
	mine := p.hold(wants)
	rest := p.explicit(wants)
	rest = p.keep(rest, mine)
	p.next = in.Range.From
	for _, w := range rest {
		p.allocate(w)
	}
	slices.SortFunc(p.out.Map, func(a, b Mapped) int { return compareWants(a.Want, b.Want) })
	p.hostPorts()
	p.ephemeral()
	p.mentions()
	return p.out
}

func (p *planner) refuse(what, why, mend string) {
	p.out.Refusals = append(p.out.Refusals, plan.Refusal{What: what, Why: why, Mend: mend})
}

func (p *planner) warn(what, text string) {
	p.out.Notes = append(p.out.Notes, plan.Note{Level: plan.Warning, What: what, Text: text})
}

func compareWants(a, b Want) int {
	return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Service, b.Service),
		cmp.Compare(a.Use, b.Use), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Name, b.Name))
}

// oneOwnerEach sorts the wants, and joins those of one Service for one number: TCP and UDP of a Service share it. Two
// Services with one number cannot come from one cluster.
func (p *planner) oneOwnerEach() []Want {
	sorted := slices.SortedFunc(slices.Values(p.in.Wants), compareWants)
	var out []Want
	for _, w := range sorted {
		if len(out) == 0 || out[len(out)-1].Port != w.Port {
			out = append(out, w)
			continue
		}
		last := &out[len(out)-1]
		if last.owner() != w.owner() || last.Use != w.Use {
			p.refuse(fmt.Sprintf("node port %d", w.Port), fmt.Sprintf("both %s and %s have it on blue", last.owner(), w.owner()), "export again: one of them is out of date")
			continue
		}
		last.Unneeded = last.Unneeded && w.Unneeded
		if w.Protocol != "" && !slices.Contains(strings.Split(last.Protocol, "+"), w.Protocol) {
			last.Protocol += "+" + w.Protocol
		}
	}
	return out
}

// hold marks what green's Services have. Those that this migration made, and that are to be restored again, keep theirs:
// mine gives their numbers.
func (p *planner) hold(wants []Want) (mine map[key]int32) {
	comes := map[string]bool{}
	for _, w := range wants {
		comes[w.on()] = true
	}
	mine = map[key]int32{}
	for _, u := range slices.SortedFunc(slices.Values(p.in.Used), func(a, b Used) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Protocol, b.Protocol))
	}) {
		on := u.Namespace + "/" + u.Service
		p.taken[u.Port] = on
		if u.Ours && comes[on] {
			for _, protocol := range strings.Split(u.Protocol, "+") {
				mine[key{on, u.Name, protocol, u.Use}] = u.Port
			}
		}
	}
	return mine
}

// A key tells the numbers of one Service apart.
type key struct {
	service, name, protocol string
	use                     Use
}

// held returns the number that a want's Service has on green already.
func held(w Want, mine map[key]int32) int32 {
	first, _, _ := strings.Cut(w.Protocol, "+")
	return mine[key{w.on(), w.Name, first, w.Use}]
}

// free reports whether a want may have a number: nobody holds it, or its own Service on green does and this migration made it.
func (p *planner) free(port int32, w Want) bool {
	if _, node := p.nodes[port]; node || !p.in.Range.Has(port) {
		return false
	}
	owner, taken := p.taken[port]
	if !taken {
		return true
	}
	return owner == w.on() && slices.ContainsFunc(p.in.Used, func(u Used) bool {
		return u.Port == port && u.Ours && u.Use == w.Use && u.Namespace+"/"+u.Service == owner
	})
}

// has names who holds a number, as a Service or on the nodes.
func (p *planner) has(port int32) string {
	if owner := p.taken[port]; owner != "" {
		return owner
	}
	return p.nodes[port]
}

func (p *planner) assign(w Want, port int32, why string) {
	p.taken[port] = w.on() + " (planned)"
	p.out.Map = append(p.out.Map, Mapped{Want: w, New: port, Why: why})
}

// explicit assigns what the file lists and returns the rest.
func (p *planner) explicit(wants []Want) []Want {
	var rest []Want
	used := map[int32]bool{}
	for _, w := range wants {
		port, listed := p.in.Explicit[w.Port]
		what := fmt.Sprintf("maps.nodePorts %d → %d", w.Port, port)
		switch {
		case !listed:
			if !w.Unneeded {
				rest = append(rest, w)
			}
			continue
		case !p.in.Range.Has(port):
			p.refuse(what, fmt.Sprintf("green's range is %d-%d", p.in.Range.From, p.in.Range.To), "choose a number in it")
		case !p.free(port, w):
			p.refuse(what, fmt.Sprintf("%s has %d on green", p.has(port), port), "choose another number")
		default:
			p.assign(w, port, "the migration file says so")
		}
		used[w.Port] = true
	}
	for _, port := range slices.Sorted(maps.Keys(p.in.Explicit)) {
		if !used[port] {
			p.warn(fmt.Sprintf("maps.nodePorts %d", port), "no Service that moves has this number on blue")
		}
	}
	return rest
}

// keep assigns the numbers that our Services have on green already, then those that can stay as they are, and returns the rest.
func (p *planner) keep(wants []Want, mine map[key]int32) []Want {
	var open, rest []Want
	for _, w := range wants {
		if port := held(w, mine); port != 0 && p.free(port, w) {
			p.assign(w, port, "the Service has it on green already")
			continue
		}
		open = append(open, w)
	}
	for _, w := range open {
		if p.free(w.Port, w) {
			p.assign(w, w.Port, "it is free on green")
			continue
		}
		rest = append(rest, w)
	}
	return rest
}

// allocate assigns the lowest free number. The range begins with the static band, so that it is filled first (P2).
func (p *planner) allocate(w Want) {
	for ; p.next <= p.in.Range.To; p.next++ {
		if p.has(p.next) != "" {
			continue
		}
		why := fmt.Sprintf("%s has %d on green", p.has(w.Port), w.Port)
		if !p.in.Range.Has(w.Port) {
			why = fmt.Sprintf("%d is outside green's range %d-%d", w.Port, p.in.Range.From, p.in.Range.To)
		}
		p.assign(w, p.next, why)
		return
	}
	p.refuse(fmt.Sprintf("node port %d of %s", w.Port, w.owner()), fmt.Sprintf("green's range %d-%d has no free number left", p.in.Range.From, p.in.Range.To), "free some, or widen --service-node-port-range on green")
}

// hostPorts finds ports of the nodes themselves that more than one would take, or that a Service would (P4).
func (p *planner) hostPorts() {
	byPort := map[int32][]HostPort{}
	for _, h := range p.in.Taken {
		byPort[h.Port] = append(byPort[h.Port], h)
	}
	for _, h := range slices.SortedFunc(slices.Values(p.in.HostPorts), func(a, b HostPort) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Protocol, b.Protocol))
	}) {
		if h.Port == 0 {
			p.warn(h.Owner, "it lives in the node's network: what it listens on is the node's, and cannot be seen here")
			continue
		}
		for _, other := range byPort[h.Port] {
			if other.Owner != h.Owner && other.Protocol == h.Protocol {
				p.warn(h.Owner, fmt.Sprintf("it takes port %d/%s of its node, and %s does so on green: they cannot share a node", h.Port, h.Protocol, other.Owner))
			}
		}
		byPort[h.Port] = append(byPort[h.Port], h)
		if owner, taken := p.taken[h.Port]; taken {
			p.refuse(fmt.Sprintf("hostPort %d of %s", h.Port, h.Owner), fmt.Sprintf("%s has the same number as a node port", owner), "patch one of the two")
		}
	}
}

// firstEphemeral is where Linux takes the ports of outgoing connections from unless it is told otherwise
// (net.ipv4.ip_local_port_range). No API shows what a node was told.
const firstEphemeral = 32768

// ephemeral reports numbers that a node's own outgoing connections may take.
func (p *planner) ephemeral() {
	if len(p.out.Map) > 0 && p.in.Range.To >= firstEphemeral {
		p.warn("node ports", fmt.Sprintf("green's range %d-%d reaches into the ports that nodes use for outgoing connections (from %d by default): reserve it there (ip_local_reserved_ports)", p.in.Range.From, p.in.Range.To, firstEphemeral))
	}
}

// mentions reports numbers that change and that stand in blue's text: they are never replaced, since a number in a text may
// mean anything (P5).
func (p *planner) mentions() {
	for _, line := range p.out.Map {
		if line.New == line.Port {
			continue
		}
		for _, where := range slices.Compact(slices.Sorted(slices.Values(p.in.Mentions[line.Port]))) {
			p.warn(fmt.Sprintf("node port %d → %d", line.Port, line.New), "the old number stands in "+where+"; it is not replaced: patch it where it means this port")
		}
	}
}

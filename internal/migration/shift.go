package migration

import (
	"fmt"
	"strings"
	"time"
)

// Shift leads a part of an application's traffic to green in steps, before its names move as a whole.
type Shift struct {
	// By says who shares the traffic out: dns (the zone answers by weight, where its provider can), ingress (blue's Ingress, by the
	// canary annotations of ingress-nginx) or httpRoute (blue's HTTPRoute, by the weights of its backends).
	By string `yaml:"by" json:"by" jsonschema:"enum=dns,enum=ingress,enum=httpRoute"`
	// Steps are the shares of the traffic that go to green, in per cent, each larger than the one before. After the last the names move.
	Steps []int `yaml:"steps" json:"steps" jsonschema:"minItems=1,maxItems=10"`
	// For is how long the checks must pass at each step; at least the TTL and the margin. Default 5m.
	For Duration `yaml:"for,omitempty" json:"for,omitempty"`
	// Tolerance is by how many points the measured share may miss a step, and never more than half of the smaller share. Default 5.
	Tolerance int `yaml:"tolerance,omitempty" json:"tolerance,omitempty" jsonschema:"minimum=1,maximum=20"`
	// Port at which green's entry takes requests from blue's ingress or Gateway, with by: ingress or httpRoute. Default 80.
	Port int `yaml:"port,omitempty" json:"port,omitempty" jsonschema:"minimum=1,maximum=65535"`
	// Tell says how an answer tells which side it is from, with by: ingress or httpRoute.
	Tell *Tell `yaml:"tell,omitempty" json:"tell,omitempty"`
}

// Tell is a question at blue's entry whose answers differ between the sides.
type Tell struct {
	// Scheme of the requests. Default https.
	Scheme string `yaml:"scheme,omitempty" json:"scheme,omitempty" jsonschema:"enum=http,enum=https"`
	// Path that is asked for.
	Path string `yaml:"path" json:"path"`
	// Header of the answer that tells the side. Default its body.
	Header string `yaml:"header,omitempty" json:"header,omitempty"`
	// OnBlue and OnGreen are texts that only this side's answer holds there.
	OnBlue  string `yaml:"onBlue" json:"onBlue"`
	OnGreen string `yaml:"onGreen" json:"onGreen"`
}

// Ways of a shift.
const (
	// ShiftByDNS is by the weights of a zone's answers.
	ShiftByDNS = "dns"
	// ShiftByIngress is at blue's Ingress.
	ShiftByIngress = "ingress"
	// ShiftByRoute is at blue's HTTPRoute.
	ShiftByRoute = "httpRoute"
)

// AtEntry reports whether blue's entry shares the requests out. A shift that is not there does not.
func (s *Shift) AtEntry() bool {
	return s != nil && (s.By == ShiftByIngress || s.By == ShiftByRoute)
}

// BackendPort is the port at green's entry.
func (s Shift) BackendPort() int {
	if s.Port == 0 {
		return 80
	}
	return s.Port
}

// Defaults of a shift.
const (
	ShiftFor       = 5 * time.Minute
	ShiftTolerance = 5
)

// Watch is how long each step is watched.
func (s Shift) Watch() time.Duration { return s.For.Or(ShiftFor) }

// Points is the tolerance at a step: a half of the smaller share at most, or a share of none would pass for a small one.
func (s Shift) Points(percent int) float64 {
	points := float64(s.Tolerance)
	if points == 0 {
		points = ShiftTolerance
	}
	return min(points, float64(min(percent, 100-percent))/2)
}

func (v *validator) shift(a *Application, at string) {
	s := a.Shift
	if s == nil {
		return
	}
	if len(a.Hostnames) == 0 {
		v.problem(at, "the application has no hostname whose traffic could be shifted", "take the shift out")
	}
	for _, h := range a.Hostnames {
		if h.AtBackend() {
			v.problem(at, fmt.Sprintf("hostname %s stays where it is (switch: backend), so no answer for it could be split", h.Name), "take the shift out: the backend is switched in one change")
		}
	}
	v.shiftAtEntry(a, at)
	last := 0
	for i, percent := range s.Steps {
		if percent <= last || percent > 99 {
			v.problem(fmt.Sprintf("%s.steps[%d]", at, i), fmt.Sprintf("%d is no share above %d and below 100", percent, last), "write rising shares, such as [5, 25, 50]; after the last one the names move as a whole")
		}
		last = max(last, percent)
	}
	// Traffic goes to both sides for a while, and a breach must take it back by itself.
	const mend = "take the shift out: the names then move in one change"
	switch {
	case a.Writes == WritesQuiesce:
		v.problem(at, "with writes: quiesce blue's workloads are stopped, so no traffic could stay there", mend)
	case a.Payload != nil:
		v.problem(at, "what green accepts of the payload while it has a part of the traffic could not be brought back to blue", mend)
	case a.Volumes == "empty":
		v.problem(at, "what green writes to its volumes while it has a part of the traffic could not be brought back to blue", mend)
	case a.Writes != WritesNone && len(a.Buckets) == 0:
		v.problem(at, "what green accepts while it has a part of the traffic could not be brought back to blue: the application names no bucket", mend+"; or declare writes: none, if it never writes")
	}
}

// shiftAtEntry demands what tells the sides apart: without it no share could be measured.
func (v *validator) shiftAtEntry(a *Application, at string) {
	s := a.Shift
	if !s.AtEntry() {
		if s.Tell != nil || s.Port != 0 {
			v.problem(at, "port and tell have an effect with by: ingress and by: httpRoute only", "take them out")
		}
		return
	}
	for _, h := range a.Hostnames {
		switch {
		case s.By == ShiftByIngress && h.Ingress == "":
			v.problem(at, fmt.Sprintf("hostname %s names no ingress at which its requests could be split", h.Name), "name blue's Ingress: ingress: NAME")
		case s.By == ShiftByRoute && h.HTTPRoute == "":
			v.problem(at, fmt.Sprintf("hostname %s names no HTTPRoute at which its requests could be split", h.Name), "name blue's HTTPRoute: httpRoute: NAME")
		}
	}
	switch t := s.Tell; {
	case t == nil:
		v.problem(at, "nothing says how an answer tells its side, so no share could be measured", "add tell: {path: /, header: X-Side, onBlue: blue, onGreen: green}, or texts of the body without header")
	case t.OnBlue == "" || t.OnGreen == "" || t.OnBlue == t.OnGreen:
		v.problem(at+".tell", "onBlue and onGreen must be two texts that differ", "")
	case strings.Contains(t.OnBlue, t.OnGreen) || strings.Contains(t.OnGreen, t.OnBlue):
		v.problem(at+".tell", "one of onBlue and onGreen holds the other, so that no answer could tell the side that has the longer one", "choose texts of which neither is a part of the other")
	case !strings.HasPrefix(t.Path, "/") || strings.ContainsAny(t.Path, " \t\n"):
		v.problem(at+".tell.path", fmt.Sprintf("%q is no path", t.Path), "begin it with a slash, as /health")
	case t.Header != "":
		v.header(t.Header, at+".tell.header")
	}
}

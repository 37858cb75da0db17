package migration

import (
	"fmt"
	"time"
)

// Shift leads a part of an application's traffic to green in steps, before its names move as a whole.
type Shift struct {
	// By says who shares the traffic out: dns (the zone answers by weight, where its provider can).
	By string `yaml:"by" json:"by" jsonschema:"enum=dns"`
	// Steps are the shares of the traffic that go to green, in per cent, each larger than the one before. After the last the names move.
	Steps []int `yaml:"steps" json:"steps" jsonschema:"minItems=1,maxItems=10"`
	// For is how long the checks must pass at each step; at least the TTL and the margin. Default 5m.
	For Duration `yaml:"for,omitempty" json:"for,omitempty"`
	// Tolerance is by how many points the measured share may miss a step, and never more than half of the smaller share. Default 5.
	Tolerance int `yaml:"tolerance,omitempty" json:"tolerance,omitempty" jsonschema:"minimum=1,maximum=20"`
}

// ShiftByDNS is a shift by the weights of a zone's answers.
const ShiftByDNS = "dns"

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

package cutover

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// maxUnanswered ends a round of probes early: each request that is not answered takes its whole time.
const maxUnanswered = 2

// History is what checks that gather have seen so far in one vigil. The zero value is empty.
type History struct {
	mu sync.Mutex
	of map[string]*gathered
}

// gathered is what one check has gathered at one address.
type gathered struct {
	// green and blue hold the last requests, the oldest first.
	green, blue  []sample
	sent, failed int // since the vigil began
}

type sample struct {
	took   time.Duration
	failed bool
}

// at returns what a check has gathered at an address. One round follows the other, so nobody else uses it meanwhile.
func (h *History) at(check, address string) *gathered {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of == nil {
		h.of = map[string]*gathered{}
	}
	key := check + " " + address
	if h.of[key] == nil {
		h.of[key] = &gathered{}
	}
	return h.of[key]
}

// probes sends a round of requests and judges the last ones that are needed. Before there are enough it is inconclusive, unless so
// many have failed that no further ones could make up for it.
func (p probe) probes(ctx context.Context) finding {
	history, n := p.opts.History, p.check.Probes.Round()
	if history == nil {
		history, n = &History{}, p.check.Probes.Needed()
	}
	got := history.at(p.check.Name, p.address())
	unanswered, err := p.sendProbes(ctx, got, n)
	if err != nil {
		return unknown("%v", err)
	}
	found := p.judgeProbes(got)
	if unanswered > 0 && found.outcome == Inconclusive {
		found.silent = true
	}
	return found
}

// sendProbes sends requests to green, and as many to blue where that is compared, in turn. It returns how many were not answered
// and not counted, because nothing shows whether green or the way there is silent.
func (p probe) sendProbes(ctx context.Context, got *gathered, n int) (unanswered int, err error) {
	reachesBlue := sync.OnceValue(func() bool { return p.opts.reachesBlue(ctx, p.opts.Entries) })
	for range n {
		if ctx.Err() != nil {
			return unanswered, ctx.Err()
		}
		s, answered := p.sendProbe(ctx, p.at(p.addr), p.pod)
		if !answered && !reachesBlue() {
			if unanswered++; unanswered >= maxUnanswered {
				return unanswered, nil
			}
			continue
		}
		got.sent++
		if s.failed {
			got.failed++
		}
		got.green = last(append(got.green, s), p.check.Probes.Needed())
		if p.check.Probes.AsksBlue() {
			p.sendToBlue(ctx, got)
		}
	}
	return unanswered, nil
}

func (p probe) sendToBlue(ctx context.Context, got *gathered) {
	if p.blue == nil {
		return
	}
	for _, addr := range p.blue.Addresses {
		if s, answered := p.sendProbe(ctx, p.at(addr), nil); answered {
			got.blue = last(append(got.blue, s), p.check.Probes.Needed())
			return
		}
	}
}

// sendProbe sends one request; answered is false where nothing came back at all.
func (p probe) sendProbe(ctx context.Context, to netip.AddrPort, pod *podAt) (s sample, answered bool) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout())
	defer cancel()
	began := p.opts.clock().Now()
	got, err := p.get(ctx, &p.check.Probes.HTTP, to, pod)
	s.took = p.opts.clock().Now().Sub(began)
	if err != nil {
		return sample{took: s.took, failed: true}, !judged(err).silent
	}
	s.failed = got.Status != wantedStatus(&p.check.Probes.HTTP)
	return s, true
}

func last(list []sample, n int) []sample { return list[max(0, len(list)-n):] }

func (p probe) judgeProbes(got *gathered) finding {
	c := p.check.Probes
	bad := 0
	for _, s := range got.green {
		if s.failed {
			bad++
		}
	}
	counted := fmt.Sprintf("%d requests so far, %d failed", got.sent, got.failed)
	if c.Errors != nil && bad > int(*c.Errors*float64(c.Needed())) {
		return failed("%d of the last %d requests failed, more than %s of %d whatever follows (%s)", bad, len(got.green), percent(*c.Errors), c.Needed(), counted)
	}
	if len(got.green) < c.Needed() {
		return unknown("%s, and %d are needed", counted, c.Needed())
	}
	var texts []string
	if c.Errors != nil {
		texts = append(texts, fmt.Sprintf("%s failed of at most %s", percent(float64(bad)/float64(len(got.green))), percent(*c.Errors)))
	}
	for _, limit := range c.Percentiles() {
		f := judgeLatency(limit, answeredIn(got.green), answeredIn(got.blue))
		if f.outcome != Passed {
			f.text += " (" + counted + ")"
			return f
		}
		texts = append(texts, f.text)
	}
	return passed("%s (%s)", strings.Join(texts, ", "), counted)
}

// judgeLatency compares one percentile with its limits. Requests that failed have no time that would mean something.
func judgeLatency(limit migration.Percentile, green, blue []time.Duration) finding {
	if len(green) < limit.Needs {
		return unknown("%d requests were answered, and the %s of green needs %d", len(green), limit.Name, limit.Needs)
	}
	is := percentile(green, limit.Share)
	text := fmt.Sprintf("%s %s", limit.Name, is.Round(time.Microsecond))
	if limit.Max > 0 {
		if is > limit.Max.D() {
			return failed("%s, more than %s", text, limit.Max)
		}
		text += fmt.Sprintf(" of at most %s", limit.Max)
	}
	if limit.Ratio == nil {
		return passed("%s", text)
	}
	if len(blue) < limit.Needs {
		return unknown("blue answered %d requests, and its %s needs %d", len(blue), limit.Name, limit.Needs)
	}
	base := percentile(blue, limit.Share)
	most := max(time.Duration(float64(base)**limit.Ratio), limit.Floor.D())
	sum := fmt.Sprintf("%g x blue's %s", *limit.Ratio, base.Round(time.Microsecond))
	if limit.Floor > 0 {
		sum += fmt.Sprintf(", at least %s", limit.Floor)
	}
	if is > most {
		return failed("%s, more than %s (%s)", text, most.Round(time.Microsecond), sum)
	}
	return passed("%s of at most %s (%s)", text, most.Round(time.Microsecond), sum)
}

func answeredIn(samples []sample) []time.Duration {
	var list []time.Duration
	for _, s := range samples {
		if !s.failed {
			list = append(list, s.took)
		}
	}
	return list
}

// percentile is the nearest rank: the least time within which a share of the requests were answered.
func percentile(times []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}

func percent(share float64) string { return fmt.Sprintf("%.3g%%", share*100) }

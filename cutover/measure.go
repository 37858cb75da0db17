package cutover

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Measured is how a name's answers are shared out between both sides, by counting. Of a share of p per cent, a sample of n answers has
// p ± z × sqrt(p (100 - p) / n): z is 1.96 for 95 of 100 samples.
type Measured struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Wanted is the share of green that was asked for, and Points by how much the measured one may miss it.
	Wanted int     `json:"wanted"`
	Points float64 `json:"points"`
	// Blue and Green count the answers of each side; Silent counts questions without an answer.
	Blue   int `json:"blue"`
	Green  int `json:"green"`
	Silent int `json:"silent,omitempty"`
	// Percent is green's share, and Low and High the ends of its interval: in 95 of 100 measurements the true share is in it.
	Percent float64 `json:"percent"`
	Low     float64 `json:"low"`
	High    float64 `json:"high"`
	// Servers are the same by address of a server.
	Servers []ServerShare `json:"servers,omitempty"`
	At      time.Time     `json:"at"`
	// Tries is how often it was measured until it fitted.
	Tries int `json:"tries"`
}

// ServerShare is what one address of a server has answered.
type ServerShare struct {
	Server string `json:"server"`
	Addr   string `json:"addr"`
	Blue   int    `json:"blue"`
	Green  int    `json:"green"`
	Silent int    `json:"silent,omitempty"`
}

// String is the measurement in a line, with its margin.
func (m Measured) String() string {
	return fmt.Sprintf("%.1f%% of %d answers for %s %s lead to green (95%% interval %.1f%% to %.1f%%), %d%% were asked for, ± %.1f points are allowed",
		m.Percent, m.Blue+m.Green, strings.TrimSuffix(m.Name, "."), m.Type, m.Low, m.High, m.Wanted, m.Points)
}

const (
	// askPause bounds the rate of questions: a hundred a second, to all servers together.
	askPause = 10 * time.Millisecond
	// leastAnswers, and leastAtEach of every address, must be there before a share says anything.
	leastAnswers = 200
	leastAtEach  = 20
	mostAnswers  = 4000
	// measureTries is how often a share that does not fit is measured again, and measurePause the time between: servers may be
	// late, and one sample in some hundreds lies far off by chance.
	measureTries = 4
	measurePause = 10 * time.Second
	// Quantiles of the normal distribution: 95 of 100, and 999 of 1000 for single servers, of which there are many.
	z95  = 1.96
	z999 = 3.29
)

// samples is how many answers show a share to within the points: so many that by chance one measurement in some hundreds misses
// them (three standard deviations).
func samples(percent int, points float64) int {
	n := math.Ceil(9 * float64(percent) * float64(100-percent) / (points * points))
	return int(min(max(n, leastAnswers), mostAnswers))
}

// interval is Wilson's for a share of k among n, in per cent: unlike the plain one it does not shrink to nothing near 0 and 100.
func interval(k, n int, z float64) (low, high float64) {
	if n == 0 {
		return 0, 100
	}
	p, size := float64(k)/float64(n), float64(n)
	middle := (p + z*z/(2*size)) / (1 + z*z/size)
	half := z / (1 + z*z/size) * math.Sqrt(p*(1-p)/size+z*z/(4*size*size))
	return 100 * max(0, middle-half), 100 * min(1, middle+half)
}

// measure asks every address of every server until the share of green fits what was asked for. A share that does not fit, and too few
// answers, end with an *InconclusiveError: neither is a pass. An answer that is neither side's is an error: somebody else changed
// the name.
func (o Options) measure(ctx context.Context, d shiftData) ([]Measured, error) {
	var all []Measured
	for i := range d.Change.Old {
		m, err := o.measureType(ctx, d, d.Change.Old[i].Type)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

func (o Options) measureType(ctx context.Context, d shiftData, typ string) (Measured, error) {
	t := tally{app: d.App, name: d.Change.Name, typ: typ, wanted: d.To, points: d.Points}
	var addrs []netip.AddrPort
	for _, s := range d.Servers {
		for _, addr := range s.Addrs {
			addrs, t.places = append(addrs, addr), append(t.places, ServerShare{Server: s.Name, Addr: addr.String()})
		}
	}
	return o.until(ctx, t, func(ctx context.Context, i int, s *ServerShare) error { return o.draw(ctx, d, typ, addrs[i], s) })
}

// tally is what is counted, and where.
type tally struct {
	app, name, typ string
	wanted         int
	points         float64
	places         []ServerShare
}

// draws puts one question to a place, and counts its answer.
type draws func(ctx context.Context, place int, s *ServerShare) error

// until counts again and again, until the share fits or the tries are over.
func (o Options) until(ctx context.Context, t tally, draw draws) (Measured, error) {
	for try := 1; ; try++ {
		m, err := o.count(ctx, t, draw)
		if err != nil {
			return m, err
		}
		m.Tries = try
		doubt := m.doubt()
		if doubt == "" {
			o.log().InfoContext(ctx, "the split is as asked for", "name", t.name, "measured", m.String())
			return m, nil
		}
		if try == measureTries {
			return m, &InconclusiveError{App: t.app, Why: fmt.Sprintf("the split of %s was measured %d times: %s", t.name, try, doubt)}
		}
		o.log().WarnContext(ctx, "the split is measured again", "name", t.name, "because", doubt)
		if err := o.clock().Sleep(ctx, measurePause); err != nil {
			return m, fmt.Errorf("measure the split of %s: %w", t.name, err)
		}
	}
}

// count puts the questions, one place after the other in turn.
func (o Options) count(ctx context.Context, t tally, draw draws) (Measured, error) {
	m := Measured{Name: t.name, Type: t.typ, Wanted: t.wanted, Points: t.points, Servers: slices.Clone(t.places)}
	if len(m.Servers) == 0 {
		return m, &InconclusiveError{App: t.app, Why: "it is not known whom to ask for " + t.name}
	}
	each := max((samples(t.wanted, t.points)+len(m.Servers)-1)/len(m.Servers), leastAtEach)
	said := o.now()
	for round := range each {
		for i := range m.Servers {
			s := &m.Servers[i]
			if s.Silent >= leastAtEach {
				continue // it says nothing: more questions teach nothing
			}
			if err := draw(ctx, i, s); err != nil {
				return m, err
			}
			if err := o.clock().Sleep(ctx, askPause); err != nil {
				return m, fmt.Errorf("measure the split of %s: %w", t.name, err)
			}
		}
		if now := o.now(); now.Sub(said) >= sayEvery {
			o.log().InfoContext(ctx, "measuring", "name", t.name, "rounds", round+1, "of", each, "places", len(m.Servers))
			said = now
		}
	}
	for _, s := range m.Servers {
		m.Blue, m.Green, m.Silent = m.Blue+s.Blue, m.Green+s.Green, m.Silent+s.Silent
	}
	if n := m.Blue + m.Green; n > 0 {
		m.Percent = 100 * float64(m.Green) / float64(n)
	}
	m.Low, m.High = interval(m.Green, m.Blue+m.Green, z95)
	m.At = o.now()
	return m, nil
}

// draw puts one question to one address.
func (o Options) draw(ctx context.Context, d shiftData, typ string, addr netip.AddrPort, s *ServerShare) error {
	reply, err := o.names().Ask(ctx, addr, d.Change.Name, typ, false)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || !reply.Authoritative || reply.Rcode != "NOERROR" {
		s.Silent++
		return nil
	}
	got := reply.Set(d.Change.Name, typ)
	is := func(sets []zone.RRset) bool {
		return slices.ContainsFunc(sets, func(w zone.RRset) bool { return w.Type == typ && dnsx.RRset(w).SameData(got) })
	}
	switch {
	case is(d.Change.Old):
		s.Blue++
	case is(d.Change.New):
		s.Green++
	default:
		return &Error{
			Op: "measure the split of " + d.Change.Name, Hint: "find out who else changes the name",
			Err: fmt.Errorf("%w: %s answers %s %v, which is neither side's", zone.ErrMoved, addr, typ, got.Data),
		}
	}
	return nil
}

// doubt says why a measurement does not show the share that was asked for, or nothing.
func (m Measured) doubt() string {
	need := samples(m.Wanted, m.Points)
	for _, s := range m.Servers {
		if n := s.Blue + s.Green; n < leastAtEach {
			return fmt.Sprintf("%s %s gave %d answers of at least %d", s.Server, s.Addr, n, leastAtEach)
		}
	}
	if n := m.Blue + m.Green; 10*n < 9*need {
		return fmt.Sprintf("there were %d answers, and %d are needed to see %d%% within %.1f points", n, need, m.Wanted, m.Points)
	}
	if math.Abs(m.Percent-float64(m.Wanted)) > m.Points {
		return m.String()
	}
	for _, s := range m.Servers {
		low, high := interval(s.Green, s.Blue+s.Green, z999)
		if low > float64(m.Wanted)+m.Points || high < float64(m.Wanted)-m.Points {
			return fmt.Sprintf("%s %s led %d of %d answers to green, which is not %d%%: it may have another share than the others", s.Server, s.Addr, s.Green, s.Blue+s.Green, m.Wanted)
		}
	}
	return ""
}

// stale says whether an error means that a name holds something else than a shift expects.
func stale(err error) bool { return errors.Is(err, zone.ErrMoved) || errors.Is(err, zone.ErrConflict) }

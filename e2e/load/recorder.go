package load

import (
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	maxFailures = 50
	maxSwitches = 20
	maxOutages  = 50
)

// outcome is how a request ended.
type outcome int

const (
	readOK outcome = iota
	readFailed
	writeAccepted
	writeRefused
	writeFailed
)

// event is one finished request.
type event struct {
	at       time.Time
	took     time.Duration
	kind     string // of user
	op       string
	key      string // of a write
	outcome  outcome
	side     string
	address  string
	repeats  int
	connects int
	err      error
}

func (e event) totals() Totals {
	t := Totals{Requests: 1, Repeats: e.repeats}
	switch e.outcome {
	case readOK:
		t.Reads = 1
	case readFailed:
		t.Reads, t.FailedReads = 1, 1
	case writeAccepted:
		t.Writes = 1
	case writeRefused:
		t.Refused = 1
	case writeFailed:
		t.FailedWrites = 1
	}
	return t
}

// failures is the log that all targets share.
type failures struct {
	mu  sync.Mutex
	log []Failure
}

func (f *failures) add(failure Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.log) < maxFailures {
		f.log = append(f.log, failure)
	}
}

func (f *failures) all() []Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Failure{}, f.log...)
}

// recorder keeps the books of one target.
type recorder struct {
	target      Target
	blue, green string
	started     time.Time
	failures    *failures

	mu         sync.Mutex
	clients    map[string]*ClientReport
	sides      map[string]Seen
	timeline   map[int]*Second
	accepted   []string
	lastBlue   time.Time
	firstGreen time.Time
	writer     string    // side of the newest accepted write
	wrote      time.Time // its time; zero: none yet
	switches   []Switch
	unsure     []string
	outages    []Outage
	open       map[string]int // index in outages of the one that a kind of user is in
}

func newRecorder(target Target, c Config, started time.Time, f *failures) *recorder {
	return &recorder{
		target: target, blue: c.Blue, green: c.Green, started: started, failures: f,
		clients: map[string]*ClientReport{KindTTL: {Kind: KindTTL, Sides: map[string]Seen{}}, KindKeep: {Kind: KindKeep, Sides: map[string]Seen{}}},
		sides:   map[string]Seen{}, timeline: map[int]*Second{}, open: map[string]int{},
	}
}

func (r *recorder) lookedUp(kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clients[kind].Lookups++
}

func (r *recorder) add(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	client := r.clients[e.kind]
	client.Totals.add(e.totals())
	client.Connects += e.connects
	client.Slowest = max(client.Slowest, e.took.Seconds())
	second := r.second(e.at)
	r.addOutage(e)
	if e.outcome == writeFailed {
		r.unsure = append(r.unsure, e.key)
	}
	if e.err != nil {
		second.Failed++
		r.failures.add(Failure{At: e.at.UTC(), Host: r.target.Host, Client: e.kind, Op: e.op, Side: e.side, Address: e.address, Reason: e.err.Error()})
		return // who answered it is in the log; shares of sides are of good answers
	}
	second.Sides[e.side]++
	count(r.sides, e)
	count(client.Sides, e)
	switch e.outcome {
	case writeRefused:
		second.Refused++
	case writeAccepted:
		r.addAccepted(e)
	}
}

// count adds a good answer to the share of the side that gave it.
func count(sides map[string]Seen, e event) {
	seen := sides[e.side]
	if seen.Answers == 0 {
		seen.First = e.at.UTC()
	}
	seen.Answers, seen.Last = seen.Answers+1, e.at.UTC()
	sides[e.side] = seen
}

// addOutage notes where a row of failed requests of one kind of user begins, and where it ends. A refused write is an answer
// as good as any.
func (r *recorder) addOutage(e event) {
	at, in := r.open[e.kind]
	switch {
	case e.err == nil && in:
		end := e.at.UTC()
		r.outages[at].To = &end
		delete(r.open, e.kind)
	case e.err != nil && in:
		r.outages[at].Failed++
	case e.err != nil && len(r.outages) < maxOutages:
		r.open[e.kind] = len(r.outages)
		r.outages = append(r.outages, Outage{Client: e.kind, From: e.at.UTC(), Failed: 1})
	}
}

func (r *recorder) second(at time.Time) *Second {
	n := int(at.Sub(r.started) / time.Second)
	if r.timeline[n] == nil {
		r.timeline[n] = &Second{Second: n, Sides: map[string]int{}}
	}
	return r.timeline[n]
}

func (r *recorder) addAccepted(e event) {
	r.accepted = append(r.accepted, e.key)
	switch e.side {
	case r.blue:
		r.lastBlue = e.at
	case r.green:
		if r.firstGreen.IsZero() {
			r.firstGreen = e.at
		}
	}
	if !r.wrote.IsZero() && e.side != r.writer && len(r.switches) < maxSwitches {
		r.switches = append(r.switches, Switch{From: r.writer, To: e.side, Last: r.wrote.UTC(), First: e.at.UTC(), Seconds: e.at.Sub(r.wrote).Seconds()})
	}
	r.writer, r.wrote = e.side, e.at
}

func (r *recorder) report() TargetReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := TargetReport{
		Target: r.target, Sides: maps.Clone(r.sides), Accepted: append([]string{}, r.accepted...),
		Clients: []ClientReport{*r.clients[KindTTL], *r.clients[KindKeep]},
		Unsure:  append([]string{}, r.unsure...), Outages: slices.Clone(r.outages),
	}
	for i, client := range report.Clients {
		report.Totals.add(client.Totals)
		report.Clients[i].Sides = maps.Clone(client.Sides)
	}
	for _, n := range slices.Sorted(maps.Keys(r.timeline)) {
		second := *r.timeline[n]
		second.Sides = maps.Clone(second.Sides)
		report.Timeline = append(report.Timeline, second)
	}
	if len(r.accepted) > 0 {
		report.Freeze = r.freeze()
	}
	return report
}

func (r *recorder) freeze() *Freeze {
	f := &Freeze{Switches: slices.Clone(r.switches)}
	if !r.lastBlue.IsZero() {
		last := r.lastBlue.UTC()
		f.LastBlue = &last
	}
	if !r.firstGreen.IsZero() {
		first := r.firstGreen.UTC()
		f.FirstGreen = &first
	}
	if f.LastBlue != nil && f.FirstGreen != nil {
		length := r.firstGreen.Sub(r.lastBlue).Seconds()
		f.Seconds = &length
	}
	return f
}

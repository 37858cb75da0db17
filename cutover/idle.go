package cutover

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-project/crossfade/internal/migration"
)

const (
	idleFloor           = 72 * time.Hour
	defaultIdleInterval = time.Minute
	// idleGap is how long a hole between what two looks cover may be. Connection tracking remembers a connection that was closed in
	// good order for two minutes (net.netfilter.nf_conntrack_tcp_timeout_time_wait), so a shorter hole hides none.
	idleGap = 110 * time.Second
)

// Sample is one look at all the evidence. Recorded samples let a watch that was broken off go on.
type Sample struct {
	At           time.Time     `json:"at"`
	Observations []Observation `json:"observations"`
	// Knocks are requests of our own at blue's entries, before a look that may have counted them.
	Knocks []Knock `json:"knocks,omitempty"`
}

// IdleOptions say what shows that blue is idle, and for how long it must.
type IdleOptions struct {
	Options
	Retirement migration.Retirement
	// OldTTL is the longest that any moved name had; see TTLResult.OldTTL.
	OldTTL time.Duration
	// Evidence must all be quiet. Without any, blue is never idle.
	Evidence []Evidence
	// Previous are the samples that were recorded before, in their order.
	Previous []Sample
	// Record keeps a sample before the next one is taken. Nil keeps none.
	Record func(Sample) error
	// Limit ends a watch that comes to no end. Default: twice the time that is demanded, and a day.
	Limit time.Duration
}

// Idle is the proof that nobody used blue for long enough.
type Idle struct {
	Since time.Time     `json:"since"`
	Until time.Time     `json:"until"`
	For   time.Duration `json:"for"`
	// Needed is what was demanded; Floor is the least that could be demanded; Text is the arithmetic of both.
	Needed    time.Duration `json:"needed"`
	Floor     time.Duration `json:"floor"`
	Text      string        `json:"text"`
	Rehearsal bool          `json:"rehearsal,omitempty"`
	Samples   int           `json:"samples"`
	// Restarts say when and why the time began again.
	Restarts []Restart `json:"restarts,omitempty"`
	// Evidence holds the last look of each kind.
	Evidence []Observation `json:"evidence"`
	// Hash is over all samples of the watch, in their order.
	Hash string `json:"hash"`
}

// Restart is one time at which the watch began again.
type Restart struct {
	At  time.Time `json:"at"`
	Why string    `json:"why"`
}

// NotIdleError says what kept blue from being idle until the limit. It wraps ErrNotIdle.
type NotIdleError struct {
	Limit time.Duration
	Quiet time.Duration
	Last  Sample
}

// Error implements error.
func (e *NotIdleError) Error() string {
	text := fmt.Sprintf("%v after %s: quiet for %s", ErrNotIdle, e.Limit, e.Quiet.Round(time.Second))
	for _, o := range e.Last.Observations {
		if o.Use != Quiet {
			text += fmt.Sprintf("; %s: %s: %s", o.Evidence, o.Use, o.who())
		}
	}
	return text
}

// Unwrap makes errors.Is find ErrNotIdle.
func (e *NotIdleError) Unwrap() error { return ErrNotIdle }

// idleNeeded is max(72h, 2 x old TTL), or what a rehearsal declares instead, or longer where the file says so.
func (o IdleOptions) idleNeeded() (needed, floor time.Duration, text string) {
	floor = max(idleFloor, 2*o.OldTTL)
	text = fmt.Sprintf("at least max(%s, 2 x old TTL %s) = %s", idleFloor, o.OldTTL, floor)
	if o.Rehearsal != nil && o.Rehearsal.Idle > 0 {
		text = fmt.Sprintf("rehearsal: at least %s instead of %s", o.Rehearsal.Idle, floor)
		floor = o.Rehearsal.Idle.D()
	}
	needed = max(floor, o.Retirement.Idle.D())
	if needed > floor {
		text = fmt.Sprintf("%s declared, %s", needed, text)
	}
	return needed, floor, text
}

// WatchIdle looks at the evidence again and again until all of it has been quiet for long enough. A use begins the time
// again, and so does a hole in which a use could have gone unseen. A look that learns nothing lets the watch go on and
// never lets it end (I8, C24).
func WatchIdle(ctx context.Context, opts IdleOptions) (Idle, error) {
	needed, floor, text := opts.idleNeeded()
	if len(opts.Evidence) == 0 {
		return Idle{}, &InconclusiveError{App: "blue", Why: "no evidence was given that could show a use"}
	}
	limit := opts.Limit
	if limit <= 0 {
		limit = 2*needed + day
	}
	interval := opts.Retirement.Interval.Or(defaultIdleInterval)
	t := newTracker(namesOf(opts.Evidence))
	for _, s := range opts.Previous {
		t.take(s)
	}
	began := opts.now()
	said := time.Time{}
	for {
		sample, err := opts.look(ctx, t)
		if err != nil {
			return Idle{}, err
		}
		if opts.Record != nil {
			if err := opts.Record(sample); err != nil {
				return Idle{}, fmt.Errorf("record what was seen of blue: %w", err)
			}
		}
		t.take(sample)
		quiet := t.quiet()
		if t.conclusive(sample) && quiet >= needed {
			idle := Idle{
				Since: t.since(), Until: t.since().Add(quiet), For: quiet, Needed: needed, Floor: floor, Rehearsal: opts.Rehearsal != nil,
				Samples: t.samples, Restarts: t.restarts, Evidence: t.evidence(), Hash: t.hash(),
			}
			idle.Text = fmt.Sprintf("quiet from %s to %s, %s; %s", idle.Since.Format(time.DateTime), idle.Until.Format(time.DateTime), quiet.Round(time.Second), text)
			return idle, nil
		}
		now := opts.now()
		if now.Sub(began) >= limit {
			return Idle{}, &NotIdleError{Limit: limit, Quiet: quiet, Last: sample}
		}
		if now.Sub(said) >= sayEvery {
			opts.log().InfoContext(ctx, "waiting until blue is idle", "quiet", quiet.Round(time.Second).String(), "needed", needed.String(), "because", text, "state", t.why(sample))
			said = now
		}
		if err := opts.clock().Sleep(ctx, nextLook(now, sample.At, interval, needed-quiet)); err != nil {
			return Idle{}, fmt.Errorf("wait until blue is idle: %w", err)
		}
	}
}

// LookAgain looks once, after the samples that were recorded before. What counts or logs by itself reaches back to the last of them
// that learned something, or says that it does not; of the time since then, connections say nothing.
func LookAgain(ctx context.Context, opts IdleOptions) (Sample, error) {
	t := newTracker(namesOf(opts.Evidence))
	for _, s := range opts.Previous {
		t.take(s)
	}
	sample, err := opts.look(ctx, t)
	if err != nil {
		return sample, err
	}
	for i := range sample.Observations {
		t.reachesBack(&sample.Observations[i])
	}
	if opts.Record == nil {
		return sample, nil
	}
	if err := opts.Record(sample); err != nil {
		return sample, fmt.Errorf("record what was seen of blue: %w", err)
	}
	return sample, nil
}

// reachesBack says of a look that it does not reach back to the one before, where its kind should.
func (t *tracker) reachesBack(o *Observation) {
	if o.Use != Quiet || o.Lost != "" || o.Coverage == Sampled {
		return
	}
	switch before, known := t.known[o.Evidence]; {
	case !known:
		o.Lost = "it was never looked at before"
	case o.From.Sub(before.At) > idleGap:
		o.Lost = fmt.Sprintf("nothing was watched for %s", o.From.Sub(before.At).Round(time.Second))
	}
}

// nextLook keeps the interval between the beginnings of two looks, and looks early where that is the last one needed.
func nextLook(now, last time.Time, interval, left time.Duration) time.Duration {
	pause := min(interval, max(left, time.Second)) - now.Sub(last)
	return max(pause, 0)
}

// look collects everything once. What fails has learned nothing, and says so.
func (o IdleOptions) look(ctx context.Context, t *tracker) (Sample, error) {
	sample := Sample{At: o.now()}
	for _, e := range o.Evidence {
		obs, err := e.Collect(ctx, t.known[e.Name()])
		if ctx.Err() != nil {
			return Sample{}, ctx.Err()
		}
		if err != nil {
			obs = Observation{Use: Unseen, Text: err.Error(), At: o.now()}
		}
		obs.Evidence, obs.Coverage = e.Name(), e.Coverage()
		t.leaveOut(e, o.now(), &obs)
		sample.Observations = append(sample.Observations, obs)
		if obs.Use != Quiet {
			o.log().InfoContext(ctx, "blue is not proven idle", "evidence", obs.Evidence, "use", string(obs.Use), "text", obs.who())
		}
	}
	return sample, nil
}

// tracker adds samples up. It only ever looks at what the samples say, so that replaying recorded ones gives the same.
type tracker struct {
	names []string
	// known is the last look of each kind that learned something, began the time since which it has been quiet.
	known    map[string]Observation
	began    map[string]time.Time
	knocks   []Knock
	samples  int
	restarts []Restart
	sum      [sha256.Size]byte
}

func newTracker(names []string) *tracker {
	return &tracker{names: names, known: map[string]Observation{}, began: map[string]time.Time{}}
}

func namesOf(evidence []Evidence) []string {
	var names []string
	for _, e := range evidence {
		names = append(names, e.Name())
	}
	return names
}

func (t *tracker) take(s Sample) {
	raw, err := json.Marshal(s)
	if err != nil {
		// Samples are plain data, and were JSON before where they were recorded.
		panic(fmt.Sprintf("sample cannot be marshalled: %v", err))
	}
	t.sum = sha256.Sum256(append(t.sum[:], raw...))
	t.samples++
	for _, k := range s.Knocks {
		t.learn(k)
	}
	for _, o := range s.Observations {
		if o.Use != Quiet && o.Use != Used {
			continue
		}
		before, known := t.known[o.Evidence]
		switch {
		case o.Use == Used:
			t.restart(o, "used: "+o.who())
		case !known:
			t.began[o.Evidence] = o.At
		case o.Lost != "":
			t.restart(o, o.Lost)
		case o.From.Sub(before.At) > idleGap:
			t.restart(o, fmt.Sprintf("nothing was watched for %s", o.From.Sub(before.At).Round(time.Second)))
		}
		t.known[o.Evidence] = o
	}
}

func (t *tracker) restart(o Observation, why string) {
	t.began[o.Evidence] = o.At
	t.restarts = append(t.restarts, Restart{At: o.At, Why: o.Evidence + ": " + why})
	// A busy blue restarts at every look; the first and the latest are what a person wants to know.
	const keep = 100
	if len(t.restarts) > keep {
		t.restarts = append(t.restarts[:keep/2], t.restarts[keep/2+1:]...)
	}
}

// conclusive says whether a sample has every kind of evidence, and all of it quiet.
func (t *tracker) conclusive(s Sample) bool {
	quiet := map[string]bool{}
	for _, o := range s.Observations {
		quiet[o.Evidence] = o.Use == Quiet
	}
	for _, name := range t.names {
		if !quiet[name] {
			return false
		}
	}
	return len(t.names) > 0
}

// since is the time from which on all evidence has been quiet, zero where some was never seen.
func (t *tracker) since() time.Time {
	var since time.Time
	for _, name := range t.names {
		began, ok := t.began[name]
		if !ok {
			return time.Time{}
		}
		if began.After(since) {
			since = began
		}
	}
	return since
}

// quiet reaches to the earliest of the last looks: what came after it was not seen.
func (t *tracker) quiet() time.Duration {
	since := t.since()
	if since.IsZero() {
		return 0
	}
	var until time.Time
	for _, name := range t.names {
		if at := t.known[name].At; until.IsZero() || at.Before(until) {
			until = at
		}
	}
	return max(0, until.Sub(since))
}

func (t *tracker) evidence() []Observation {
	out := make([]Observation, 0, len(t.names))
	for _, name := range t.names {
		out = append(out, t.known[name])
	}
	return out
}

func (t *tracker) hash() string { return hex.EncodeToString(t.sum[:]) }

func (t *tracker) why(s Sample) string {
	text := ""
	for _, o := range s.Observations {
		if o.Use != Quiet {
			text += fmt.Sprintf("%s: %s: %s; ", o.Evidence, o.Use, o.who())
		}
	}
	if text == "" {
		return "quiet"
	}
	return text[:len(text)-len("; ")]
}

// ErrStale says that a proof is too old to act on.
var ErrStale = errors.New("the proof is too old")

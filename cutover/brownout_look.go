package cutover

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// logPause is how long what an ingress writes may take to be in its log.
const logPause = 2 * time.Second

// lookout goes on with the watch over blue's idleness through a brown-out, and knows which requests were our own.
type lookout struct {
	BrownOutOptions
	t *tracker
}

func (o BrownOutOptions) lookout() *lookout {
	t := newTracker(namesOf(o.Evidence))
	for _, s := range o.Previous {
		t.take(s)
	}
	return &lookout{o, t}
}

// quietBefore refuses where somebody was seen since idleness was concluded, by a run that was ended before it could say so.
func (w *lookout) quietBefore() error {
	for _, s := range w.Previous {
		if used := usedIn(s); s.At.After(w.Idle.Until) && len(used) > 0 {
			return &BrownOutError{At: s.At, Seen: used}
		}
	}
	return nil
}

func usedIn(s Sample) []Observation {
	return slices.DeleteFunc(slices.Clone(s.Observations), func(o Observation) bool { return o.Use != Used })
}

// look looks once at all evidence. Somebody who was seen is an error.
func (w *lookout) look(ctx context.Context) (Sample, error) {
	sample, err := IdleOptions{Options: w.Options, Evidence: w.Evidence, Retirement: w.Retirement}.look(ctx, w.t)
	if err != nil {
		return sample, err
	}
	if err := w.keep(sample); err != nil {
		return sample, err
	}
	if used := usedIn(sample); len(used) > 0 {
		return sample, &BrownOutError{At: w.now(), Seen: used}
	}
	return sample, nil
}

// keep records a sample and adds it to the others.
func (w *lookout) keep(s Sample) error {
	w.t.take(s)
	if w.Record == nil {
		return nil
	}
	if err := w.Record(s); err != nil {
		return fmt.Errorf("record what was seen of blue: %w", err)
	}
	return nil
}

// knock sends one request of our own. It is on record before it is sent, so that whatever counts it is known to be ours, also when this
// process ends in between.
func (w *lookout) knock(ctx context.Context, app migration.Application, e Entries, at netip.AddrPort) (k Knock, answer string, err error) {
	k = Knock{At: w.now(), App: app.Name, Hostname: e.Hostname}
	if err := w.note(k); err != nil {
		return k, "", err
	}
	return k, w.answerAt(ctx, e.Hostname, at, plainHTTP(app, e)), nil
}

func (w *lookout) note(k Knock) error { return w.keep(Sample{At: k.At, Knocks: []Knock{k}}) }

// watch looks for the whole brown-out. It ends when all evidence covers it, and was quiet.
func (w *lookout) watch(ctx context.Context, length time.Duration) ([]Observation, error) {
	if len(w.Evidence) == 0 {
		return nil, nil
	}
	if err := w.clock().Sleep(ctx, logPause); err != nil {
		return nil, err
	}
	began := w.now()
	interval := w.Retirement.Interval.Or(defaultIdleInterval)
	limit := began.Add(2*length + 5*interval)
	said := began
	for {
		sample, err := w.look(ctx)
		if err != nil {
			return nil, err
		}
		covered := w.t.coveredSince(began)
		if w.t.conclusive(sample) && covered >= length {
			return w.t.evidence(), nil
		}
		now := w.now()
		if !now.Before(limit) {
			return nil, &InconclusiveError{App: "blue", Why: fmt.Sprintf("the evidence covers %s of %s, and the limit of %s is over: %s", covered.Round(time.Second), length, limit.Format(time.TimeOnly), w.t.why(sample))}
		}
		if now.Sub(said) >= sayEvery {
			w.log().InfoContext(ctx, "blue refuses everybody", "until", began.Add(length).Format(time.TimeOnly), "seen", covered.Round(time.Second).String(), "of", length.String(), "state", w.t.why(sample))
			said = now
		}
		if err := w.clock().Sleep(ctx, nextLook(now, sample.At, interval, length-covered)); err != nil {
			return nil, err
		}
	}
}

// takeIn looks until all that counts has counted our last knock, so that a later look has nothing of ours in it.
func (w *lookout) takeIn(ctx context.Context) error {
	if len(w.t.knocks) == 0 {
		return nil
	}
	if err := w.clock().Sleep(ctx, logPause); err != nil {
		return err
	}
	interval := w.Retirement.Interval.Or(defaultIdleInterval)
	last := w.t.knocks[len(w.t.knocks)-1]
	limit := w.now().Add(5 * interval)
	for _, e := range w.Evidence {
		if counter, ok := e.(KnockCounter); ok {
			late, _ := counter.CountsKnock(last)
			limit = slices.MaxFunc([]time.Time{limit, last.At.Add(late + 5*interval)}, time.Time.Compare)
		}
	}
	for {
		sample, err := w.look(ctx)
		if err != nil {
			return err
		}
		if w.tookIn(last) {
			return nil
		}
		now := w.now()
		if !now.Before(limit) {
			return &InconclusiveError{App: "blue", Why: fmt.Sprintf("whether our own requests at its entries were counted is not known at %s: %s", limit.Format(time.TimeOnly), w.t.why(sample))}
		}
		if err := w.clock().Sleep(ctx, nextLook(now, sample.At, interval, interval)); err != nil {
			return err
		}
	}
}

func (w *lookout) tookIn(k Knock) bool {
	return !slices.ContainsFunc(w.Evidence, func(e Evidence) bool {
		counter, ok := e.(KnockCounter)
		if !ok {
			return false
		}
		late, _ := counter.CountsKnock(k)
		return w.t.known[e.Name()].At.Before(k.At.Add(late))
	})
}

package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// A green that is dead is when a person needs the way back most. What of it gives no answer is found out once, before a
// rollback begins, and kept in its notes:
//
//	cluster  store   what is left out, once --discard-green is said
//	answers  answers nothing
//	answers  silent  back-sync: what green wrote there stays there; green is stopped all the same
//	silent   answers hold and stop: owed, until green answers again; the caches are waited out for every name, then what
//	                 the store has is brought back
//	silent   silent  all of them
//
// What is owed is done before anything else by whatever changes something next.

// reachLimit is how long green may take to show that it answers.
const reachLimit = 30 * time.Second

// reachPatience is how long what answers with errors alone is asked again before it is left out.
const reachPatience = 10 * time.Second

// Notes of what is owed on green: its pods were left running, and were stopped later.
const (
	noteGreenLeft    = "green-left"
	noteGreenStopped = "green-stopped"
)

// unreached is what of green gave no answer, with why.
type unreached struct {
	Cluster string            `json:"cluster,omitempty"`
	Buckets map[string]string `json:"buckets,omitempty"`
}

func (u unreached) any() bool { return u.Cluster != "" || len(u.Buckets) > 0 }

func (u unreached) equal(o unreached) bool {
	return u.Cluster == o.Cluster && maps.Equal(u.Buckets, o.Buckets)
}

// of is what of it concerns a turn.
func (u unreached) of(t turn) unreached {
	out := unreached{Cluster: u.Cluster}
	for _, b := range t.buckets {
		if why := u.Buckets[b.Name]; why != "" {
			if out.Buckets == nil {
				out.Buckets = map[string]string{}
			}
			out.Buckets[b.Name] = why
		}
	}
	return out
}

// LeftUndone is what a way back has not done on green, because green was not reached.
type LeftUndone struct {
	App   string `json:"app"`
	Stage string `json:"stage"`
	Why   string `json:"why"`
	// Since is when the application went back without it.
	Since time.Time `json:"since,omitzero"`
}

// String is one line for people.
func (l LeftUndone) String() string {
	return fmt.Sprintf("%s: green was not reached (%s): the pods of %s may still run there, and write to green's own buckets; `crossfade rollback`, `run` or `cleanup` stops them as soon as green answers, before anything else", l.Stage, l.Why, l.App)
}

// answersOf asks green's cluster, where cluster is set, and green's end of buckets, all at once, and returns those that gave no
// answer in time. A refusal is an answer.
func (m *Migration) answersOf(ctx context.Context, cluster bool, buckets []migration.Bucket) (unreached, error) {
	within, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	var out unreached
	var mu sync.Mutex
	var wg sync.WaitGroup
	if cluster {
		wg.Go(func() {
			if err := m.reachGreen(within); err != nil {
				mu.Lock()
				defer mu.Unlock()
				out.Cluster, _ = mend.Apart(m.redact.Error(err), "")
			}
		})
	}
	for _, b := range buckets {
		wg.Go(func() {
			if err := m.reachBucket(within, b.To); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if out.Buckets == nil {
					out.Buckets = map[string]string{}
				}
				out.Buckets[b.Name] = m.redact.Error(err).Error()
			}
		})
	}
	wg.Wait()
	return out, ctx.Err()
}

func (m *Migration) greenAnswers(ctx context.Context) bool {
	silent, err := m.answersOf(ctx, true, nil)
	return err == nil && silent.Cluster == ""
}

// reachGreen asks green's API server who it is, which only its own store can tell: one whose store is gone greets and does nothing
// else. Another cluster in green's place is not green: that nothing runs there says nothing.
func (m *Migration) reachGreen(ctx context.Context) error {
	green, err := m.side(Green)
	if err != nil {
		return err
	}
	if _, err := green.Greet(ctx); err != nil {
		return err
	}
	id, err := green.Identity(ctx)
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return green.Explain(err)
	}
	var was preflightResult
	if m.resultOf("preflight", &was) == nil && was.Green.UID != "" && was.Green.UID != id.UID {
		return fmt.Errorf("another cluster answers at %s than the one that the preflight has seen: namespace kube-system has uid %s, and had %s", id.Server, id.UID, was.Green.UID)
	}
	return nil
}

func (m *Migration) reachBucket(ctx context.Context, end migration.BucketEnd) error {
	b, err := m.bucketAt(ctx, end)
	if err == nil {
		err = b.Check(ctx)
	}
	if errors.Is(err, bucket.ErrNotExist) || errors.Is(err, bucket.ErrDenied) {
		return nil // it answers; the way back's own plan says what is wrong
	}
	return err
}

// needsOf is what the way back of a turn still needs of green.
func (m *Migration) needsOf(t turn, how returning, of states) (cluster bool, buckets []migration.Bucket) {
	how.Without = unreached{}
	for _, s := range m.wayBack(t, how, of) {
		switch {
		case of(s.name).Finished:
		case strings.HasPrefix(s.name, "hold/"), strings.HasPrefix(s.name, "stop/"):
			cluster = true
		case s.bucket != "":
			i := slices.IndexFunc(t.buckets, func(b migration.Bucket) bool { return b.Name == s.bucket })
			buckets = append(buckets, t.buckets[i])
		}
	}
	return cluster, buckets
}

// reachForRollback finds out what of green the way back of turns can do without, and refuses where nobody has said to go
// back without it. Where somebody has, a patient call asks again for a while: green is not left running for a server that only
// began anew.
func (m *Migration) reachForRollback(ctx context.Context, p *RollbackPlan, turns []turn, log *journal.Log, patient bool) error {
	var cluster bool
	var buckets []migration.Bucket
	for _, t := range turns {
		how := returning{Turn: t.name}
		if open, ok := m.openReturn(log); ok && open.Turn == t.name {
			how = open
		}
		c, b := m.needsOf(t, how, log.Stage)
		cluster, buckets = cluster || c, append(buckets, b...)
	}
	if !cluster && len(buckets) == 0 {
		return nil
	}
	var err error
	if p.without, err = m.answersOf(ctx, cluster, buckets); err != nil {
		return err
	}
	open, returning := m.openReturn(log)
	earlier, _, broken := openRollback(log)
	said := p.Discard || broken && earlier.Without.Cluster != "" || returning && open.Without.Cluster != ""
	if patient && said {
		if p.without, err = m.askAgain(ctx, p.without); err != nil {
			return err
		}
	}
	if why := p.without.Cluster; why != "" && !said {
		p.refuse("green's cluster", "it cannot be reached: "+why+": what green has accepted cannot be frozen, brought back or proven, and its pods may still write",
			"bring it back and say it again; or say --discard-green: names and blue go back without it, and the next command that finds green again stops it first")
	}
	said = p.Discard || broken && earlier.Discard || returning && open.Discard
	for _, name := range slices.Sorted(maps.Keys(p.without.Buckets)) {
		if !said {
			p.refuse("bucket "+name, "green's store cannot be reached: "+p.without.Buckets[name]+": what green wrote there cannot be brought back or proven",
				"bring the store back and say it again; or say --discard-green: it stays on green, and blue goes on without it")
		}
	}
	return nil
}

// reachAgain drops what answers by now of what an earlier process found silent: it is not left out any more.
func (m *Migration) reachAgain(ctx context.Context, u unreached) (unreached, error) {
	if !u.any() {
		return u, nil
	}
	var buckets []migration.Bucket
	for _, b := range m.file.Buckets {
		if u.Buckets[b.Name] != "" {
			buckets = append(buckets, b)
		}
	}
	return m.answersOf(ctx, u.Cluster != "", buckets)
}

// askAgain asks what gave no answer until it does, or for reachPatience.
func (m *Migration) askAgain(ctx context.Context, u unreached) (unreached, error) {
	until := m.opts.Clock.Now().Add(reachPatience)
	for u.any() && m.opts.Clock.Now().Before(until) {
		err := m.opts.Clock.Sleep(ctx, time.Second)
		if err == nil {
			u, err = m.reachAgain(ctx, u)
		}
		if err != nil {
			return u, err
		}
	}
	return u, nil
}

// owe notes, before blue is thawed, which applications a turn's way back leaves running on green. It may be called again.
func (m *Migration) owe(t turn, how returning) error {
	if how.Without.Cluster == "" {
		return nil
	}
	owed, err := m.owed()
	if err != nil {
		return err
	}
	for _, left := range leftRunning(t, how.Without, m.journal.Stage) {
		if slices.ContainsFunc(owed, func(l LeftUndone) bool { return l.App == left.App }) {
			continue
		}
		left.Since = m.opts.Clock.Now().UTC()
		if err := m.journal.Note(noteGreenLeft, left); err != nil {
			return err
		}
	}
	return nil
}

// leftRunning are the applications of a turn that may write on green and that nobody stops there, because its cluster gives no
// answer. What is read-only by nature and was held before rests as it should.
func leftRunning(t turn, without unreached, of states) []LeftUndone {
	var list []LeftUndone
	for _, a := range t.apps {
		name := "stop/" + a.Name
		atRest := of(name).Finished || a.Dark == migration.DarkReadOnly && of("hold/"+a.Name).Finished
		if without.Cluster != "" && of("start/"+a.Name).Plan != "" && !atRest {
			list = append(list, LeftUndone{App: a.Name, Stage: name, Why: without.Cluster})
		}
	}
	return list
}

// stopped notes that what was owed of applications is done: their stop is finished.
func (m *Migration) stopped(t turn) error {
	owed, err := m.owed()
	if err != nil {
		return err
	}
	for _, l := range owed {
		if slices.Contains(t.names(), l.App) && m.journal.Stage(l.Stage).Finished {
			if err := m.journal.Note(noteGreenStopped, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// owed is what is left undone on green.
func (m *Migration) owed() ([]LeftUndone, error) {
	log, err := m.log()
	if err != nil {
		return nil, err
	}
	return owedOf(log), nil
}

func owedOf(log *journal.Log) []LeftUndone {
	var owed []LeftUndone
	for _, r := range log.Records {
		var l LeftUndone
		if r.Kind != journal.KindNoted || r.Stage != noteGreenLeft && r.Stage != noteGreenStopped || json.Unmarshal(r.Data, &l) != nil {
			continue
		}
		owed = slices.DeleteFunc(owed, func(o LeftUndone) bool { return o.App == l.App })
		if r.Stage == noteGreenLeft {
			owed = append(owed, l)
		}
	}
	return owed
}

// owedStages are the stops that are owed. Those of a turn that still goes back are not: its own way back has them where they
// belong, after the names.
func (m *Migration) owedStages(log *journal.Log) []stage {
	open, returning := m.openReturn(log)
	var list []stage
	for _, l := range owedOf(log) {
		for _, t := range m.turns() {
			for _, a := range t.apps {
				if a.Name == l.App && (!returning || open.Turn != t.name) {
					list = append(list, m.stopStage(a))
				}
			}
		}
	}
	return list
}

// payable are the stops that are owed, or why they cannot be made now. Green is asked only where something is owed.
func (m *Migration) payable(ctx context.Context, log *journal.Log) ([]stage, []plan.Refusal, error) {
	stages := m.owedStages(log)
	if len(stages) == 0 {
		return nil, nil, nil
	}
	silent, err := m.answersOf(ctx, true, nil)
	if err != nil || silent.Cluster == "" {
		return stages, nil, err
	}
	return nil, owedRefusals(stages, silent.Cluster), nil
}

// payWhatIsOwed stops on green what earlier ways back have left running. It comes before anything else that changes something: as
// long as green's pods may write, nobody else writes to green's buckets (I7). Where green still gives no answer, it returns a *RefusedError.
func (m *Migration) payWhatIsOwed(ctx context.Context) error {
	log, err := m.log()
	if err != nil {
		return err
	}
	stages, refusals, err := m.payable(ctx, log)
	if err != nil {
		return err
	}
	if len(refusals) > 0 {
		return &RefusedError{Stage: "stop what was left on green", Refusals: refusals}
	}
	for _, s := range stages {
		if err := m.insist(ctx, s); err != nil {
			return fmt.Errorf("stop what an earlier rollback has left on green: %w", err)
		}
		// The stage goes first: one that was left behind as done would pass for that of a later way back. Killed here, green
		// is stopped once more.
		if err := m.resetAll([]string{s.name}, "green is stopped: what was owed is done"); err != nil {
			return err
		}
		if err := m.journal.Note(noteGreenStopped, LeftUndone{App: s.app, Stage: s.name, Since: m.opts.Clock.Now().UTC()}); err != nil {
			return err
		}
	}
	return nil
}

// planOwed shows what of earlier rollbacks is done on green before anything else, or why it cannot be.
func (m *Migration) planOwed(ctx context.Context, o *Overview, log *journal.Log) error {
	stages, refusals, err := m.payable(ctx, log)
	if err != nil {
		return err
	}
	if len(refusals) > 0 {
		p := plan.New(m.file.Name, noteGreenLeft)
		p.Refusals = refusals
		o.Plans = append(o.Plans, p)
		return nil
	}
	for _, s := range stages {
		p, err := m.planned(ctx, s, log)
		if err != nil {
			return fmt.Errorf("plan %s: %w", s.name, err)
		}
		o.Plans = append(o.Plans, p)
	}
	return nil
}

func owedRefusals(stages []stage, why string) []plan.Refusal {
	var list []plan.Refusal
	for _, s := range stages {
		list = append(list, plan.Refusal{
			What: s.name, Why: "a rollback has gone back without green, whose pods may still run and write to green's own buckets, and green's cluster still cannot be reached: " + why,
			Mend: "bring green's cluster back: it is stopped first then",
		})
	}
	return list
}

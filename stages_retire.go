package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/export"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// noteSample is the name under which the samples of blue's idleness are kept, so that days of watching survive a restart.
const noteSample = "idle-sample"

// oneChange is a stage of the façade's own, with one change that only asks or writes beside the journal.
func oneChange[R any](m *Migration, s stage, c plan.Change, do func(context.Context) (R, error)) stage {
	s.plan = func(context.Context) (*plan.Plan, error) {
		p := plan.New(m.file.Name, s.name)
		p.Add(c)
		return p, nil
	}
	s.apply = func(ctx context.Context, p *plan.Plan) (any, error) {
		var result R
		err := plan.Run(ctx, p, m.journal, plan.RunOptions{Observer: observer{m}}, func(ctx context.Context, c plan.Change) (any, error) {
			var err error
			result, err = do(ctx)
			return result, err
		})
		if raw, done := m.journal.Done(c.ID); err == nil && done {
			return raw, nil // the outcome, also where an earlier run recorded it and was killed before the stage was finished
		}
		return result, err
	}
	return s
}

// idleStage watches blue until nobody has used it for long enough.
func (m *Migration) idleStage() stage {
	const name = "idle"
	return oneChange(m,
		stage{name: name, verb: "run", concludes: true, title: "watch blue until nobody has used it for long enough", after: "every application to be on green"},
		plan.Change{
			ID: name + "/watch", Action: "watch", Target: "blue",
			Why: "blue may be destroyed only when nobody uses it; nothing is changed, so nothing is taken back",
		},
		func(ctx context.Context) (cutover.Idle, error) {
			opts, err := m.idleOptions(ctx, false)
			if err != nil {
				return cutover.Idle{}, err
			}
			return cutover.WatchIdle(ctx, opts)
		})
}

// idleOptions are those of the watch; once, those of a single look. The namespaces that are gone are not looked at any more.
func (m *Migration) idleOptions(ctx context.Context, once bool, gone ...string) (cutover.IdleOptions, error) {
	opts, err := m.cutoverOptions(ctx, "idle")
	if err != nil {
		return cutover.IdleOptions{}, err
	}
	ttl, err := m.held()
	if err != nil {
		return cutover.IdleOptions{}, err
	}
	forwards, err := m.forwards()
	if err != nil {
		return cutover.IdleOptions{}, err
	}
	of := cutover.BlueEvidenceOptions{
		Options: opts, Retirement: *m.file.Retirement, Helper: m.file.Blue.Helper, Held: ttl.Names, Forwards: forwards, Once: once,
	}
	if len(gone) > 0 {
		if err := onlyWhatIsThere(&of, gone); err != nil {
			return cutover.IdleOptions{}, err
		}
	}
	evidence, err := cutover.BlueEvidence(ctx, of)
	if err != nil {
		return cutover.IdleOptions{}, err
	}
	result := cutover.IdleOptions{
		Options: opts, Retirement: *m.file.Retirement, OldTTL: ttl.OldTTL(), Evidence: evidence,
		Record: func(s cutover.Sample) error { return m.journal.Note(noteSample, s) },
	}
	m.journal.View(func(log *journal.Log) {
		result.Previous = samplesSinceReturn(log)
	})
	return result, nil
}

// onlyWhatIsThere leaves out what shows a use of an application whose namespace is gone: it has lost that one's part, or misses it for ever.
// It refuses where an application that is there would be shown by nothing then.
func onlyWhatIsThere(of *cutover.BlueEvidenceOptions, gone []string) error {
	isGone := func(app string) bool {
		return !slices.ContainsFunc(of.Applications, func(a migration.Application) bool { return a.Name == app })
	}
	of.Applications = slices.DeleteFunc(slices.Clone(of.Applications), func(a migration.Application) bool { return slices.Contains(gone, a.Namespace) })
	of.Held = slices.DeleteFunc(slices.Clone(of.Held), func(h cutover.Held) bool { return isGone(h.App) })
	of.Retirement.Prometheus = slices.DeleteFunc(slices.Clone(of.Retirement.Prometheus), func(q migration.IdleQuery) bool {
		return len(q.Watches) == 0 || slices.ContainsFunc(q.Watches, isGone)
	})
	refused := &RefusedError{Stage: "retire"}
	for _, a := range of.Applications {
		_, said := of.Retirement.Unwatched[a.Name]
		watched := func(q migration.IdleQuery) bool { return slices.Contains(q.Watches, a.Name) }
		if !said && len(a.Hostnames) == 0 && a.Requests == nil && !slices.ContainsFunc(of.Retirement.Prometheus, watched) {
			refused.Refusals = append(refused.Refusals, plan.Refusal{
				What: "application " + a.Name, Why: "a part of blue is gone, and what would show a use of this one is of both",
				Mend: "see yourself that nobody uses it on blue, delete namespace " + a.Namespace + " by hand, and say this again; its volumes are kept already",
			})
		}
	}
	if len(refused.Refusals) > 0 {
		return refused
	}
	return nil
}

// samplesOfIdle are the samples from which the last finished watch within the first records concluded that blue is idle.
func samplesOfIdle(log *journal.Log, records int) []cutover.Sample {
	list := log.Records[:min(records, len(log.Records))]
	for i, r := range slices.Backward(list) {
		if r.Kind == journal.KindFinished && r.Stage == "idle" {
			return samplesIn(list[:i])
		}
	}
	return nil
}

// samplesSinceReturn are the samples of blue's idleness that count. One from before an application went back to blue says
// nothing of the time after: blue was used again in between, watched or not (I8). Nor does one from before somebody came to a blue that
// refused.
func samplesSinceReturn(log *journal.Log) []cutover.Sample { return samplesIn(log.Records) }

func samplesIn(records []journal.Record) []cutover.Sample {
	var samples []cutover.Sample
	for _, r := range records {
		if r.Kind != journal.KindNoted {
			continue
		}
		var s cutover.Sample
		switch {
		case r.Stage == noteReturned, r.Stage == noteComeBack:
			samples = nil
		case r.Stage == noteSample && json.Unmarshal(r.Data, &s) == nil:
			samples = append(samples, s)
		}
	}
	return samples
}

func (m *Migration) certifyOptions(ctx context.Context) (cutover.CertifyOptions, error) {
	opts, err := m.cutoverOptions(ctx, "certificate")
	if err != nil {
		return cutover.CertifyOptions{}, err
	}
	var (
		idle cutover.Idle
		ttl  cutover.TTLResult
		seen preflightResult
	)
	if err := errors.Join(m.resultOf("idle", &idle), m.resultOf("ttl", &ttl), m.resultOf("preflight", &seen)); err != nil {
		return cutover.CertifyOptions{}, err
	}
	out := cutover.CertifyOptions{
		Options: opts, Idle: idle, OldTTL: ttl.OldTTL(), Tool: m.opts.Tool, Who: m.opts.Actor, Blue: seen.Blue, Green: seen.Green,
		Baselines: map[string]map[string]float64{}, File: m.fileProof(), Retirement: *m.file.Retirement, Delete: m.file.Retirement.Delete.Namespaces,
	}
	m.journal.View(func(log *journal.Log) {
		out.Journal = journalProof(log, len(log.Records))
		out.Samples = samplesOfIdle(log, len(log.Records))
	})
	for _, a := range m.file.Applications {
		if len(a.Hostnames) > 0 {
			moved, err := m.moved(a)
			if err != nil {
				return out, err
			}
			out.Baselines[a.Name] = cutover.Baselines(moved)
		}
		if err := m.provenOf(a, &out); err != nil {
			return out, err
		}
	}
	if err := m.brownedOut(&out); err != nil {
		return out, err
	}
	for _, b := range m.file.Buckets {
		proof, ok, err := m.dataProof(b)
		if err != nil {
			return out, err
		}
		if ok {
			out.Data = append(out.Data, proof)
		}
	}
	return out, nil
}

// provenOf takes in when an application was frozen and which revision of the archive followed.
func (m *Migration) provenOf(a migration.Application, out *cutover.CertifyOptions) error {
	var freeze export.FreezeResult
	var delta export.Result
	if err := errors.Join(m.resultOf("freeze/"+a.Name, &freeze), m.resultOf("delta/"+a.Name, &delta)); err != nil {
		return err
	}
	if a.Writes != migration.WritesNone && freeze.Confirmed.After(out.Frozen) {
		out.Frozen = freeze.Confirmed
	}
	if delta.Revision > out.Archive.Revision {
		ended := m.journal.Stage("delta/" + a.Name).Ended
		out.Archive = cutover.ArchiveProof{URL: m.file.Archive.URL, Revision: delta.Revision, Hash: delta.Index, Made: ended, Verified: ended}
	}
	return nil
}

// dataProof is the proof of a bucket's equality from its final sync.
func (m *Migration) dataProof(b migration.Bucket) (cutover.DataProof, bool, error) {
	s := m.journal.Stage("final-sync/" + b.Name)
	if !s.Finished {
		return cutover.DataProof{}, false, nil
	}
	var result bucketsync.Result
	if err := json.Unmarshal(s.Result, &result); err != nil {
		return cutover.DataProof{}, false, fmt.Errorf("read the proof of bucket %s: %w", b.Name, err)
	}
	if result.Proof == nil {
		return cutover.DataProof{}, false, fmt.Errorf("the final sync of bucket %s left no proof", b.Name)
	}
	r := result.Proof
	proof := cutover.DataProof{
		What: "bucket " + b.Name, Objects: r.Objects, Bytes: r.Bytes, Verified: s.Ended,
		Differences: r.Missing + r.Extra + r.Differ + r.Unproven + r.Unreadable, Hash: r.SourceRoot,
	}
	for _, a := range m.file.Applications {
		var freeze export.FreezeResult
		if sharesBucket([]migration.Application{a}, migration.Application{Buckets: []string{b.Name}}) && m.resultOf("freeze/"+a.Name, &freeze) == nil && freeze.Confirmed.After(proof.Frozen) {
			proof.Frozen = freeze.Confirmed
		}
	}
	return proof, true, nil
}

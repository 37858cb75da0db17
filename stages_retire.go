package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
		stage{name: name, verb: "run", title: "watch blue until nobody has used it for long enough", after: "every application to be on green"},
		plan.Change{
			ID: name + "/watch", Action: "watch", Target: "blue",
			Why: "blue may be destroyed only when nobody uses it; nothing is changed, so nothing is taken back",
		},
		func(ctx context.Context) (cutover.Idle, error) {
			opts, err := m.idleOptions(ctx)
			if err != nil {
				return cutover.Idle{}, err
			}
			return cutover.WatchIdle(ctx, opts)
		})
}

func (m *Migration) idleOptions(ctx context.Context) (cutover.IdleOptions, error) {
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
	evidence, err := cutover.BlueEvidence(ctx, cutover.BlueEvidenceOptions{
		Options: opts, Retirement: *m.file.Retirement, Helper: m.file.Blue.Helper, Held: ttl.Names, Forwards: forwards,
	})
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

// samplesSinceReturn are the samples of blue's idleness that count. One from before an application went back to blue says
// nothing of the time after: blue was used again in between, watched or not (I8). Nor does one from before somebody came to a blue that
// refused.
func samplesSinceReturn(log *journal.Log) []cutover.Sample {
	var samples []cutover.Sample
	for _, r := range log.Records {
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

// certificateStage makes the retirement certificate: idle, green healthy, data proven, archive fresh.
func (m *Migration) certificateStage() stage {
	const name = "certificate"
	return oneChange(m,
		stage{name: name, verb: "run", title: "make the retirement certificate", after: "blue to be idle"},
		plan.Change{
			ID: name + "/make", Action: "certify", Target: "blue",
			Why: "retire asks for it; it is a file beside the journal and changes nothing else, so nothing is taken back",
		},
		func(ctx context.Context) (cutover.Certificate, error) {
			opts, err := m.certifyOptions(ctx)
			if err != nil {
				return cutover.Certificate{}, err
			}
			cert, err := cutover.Certify(ctx, opts)
			if err != nil {
				return cert, err
			}
			return cert, m.writeCertificate(cert)
		})
}

// Files of the certificate, in the state directory.
const (
	certificateJSON = "certificate.json"
	certificatePage = "certificate.md"
)

func (m *Migration) writeCertificate(cert cutover.Certificate) error {
	raw, err := json.MarshalIndent(cert, "", "  ")
	if err != nil {
		return fmt.Errorf("write the certificate: %w", err)
	}
	for name, content := range map[string][]byte{certificateJSON: append(raw, '\n'), certificatePage: []byte(cert.Markdown())} {
		if err := os.WriteFile(filepath.Join(m.file.StateDir(), name), content, 0o600); err != nil {
			return fmt.Errorf("write the certificate: %w", err)
		}
	}
	return nil
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
		Options: opts, Idle: idle, OldTTL: ttl.OldTTL(), Tool: m.opts.Tool, Blue: seen.Blue, Green: seen.Green,
		Baselines: map[string]map[string]float64{},
	}
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

// certificate reads the certificate that the run has made.
func (m *Migration) certificate(log *journal.Log) (cutover.Certificate, error) {
	var cert cutover.Certificate
	s := log.Stage("certificate")
	if !s.Finished {
		return cert, errors.New("there is no retirement certificate yet: `crossfade run` makes it once blue is idle")
	}
	if err := json.Unmarshal(s.Result, &cert); err != nil {
		return cert, fmt.Errorf("read the certificate: %w", err)
	}
	return cert, nil
}

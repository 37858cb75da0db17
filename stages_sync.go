package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/attest"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const (
	// defaultMaxDelta is how many objects may still differ before a freeze is entered.
	defaultMaxDelta = 1000
	// locksDrop is buckets[].locks of a bucket whose locks may be lost.
	locksDrop = "drop"
	// maxWarmRounds ends a warm sync that does not catch up.
	maxWarmRounds = 20
)

func (m *Migration) syncOptions(ctx context.Context, stage string, b migration.Bucket) (bucketsync.Options, error) {
	from, err := m.bucketAt(ctx, b.From)
	if err != nil {
		return bucketsync.Options{}, err
	}
	to, err := m.bucketAt(ctx, b.To)
	if err != nil {
		return bucketsync.Options{}, err
	}
	bandwidth, err := b.BytesPerSecond()
	if err != nil {
		return bucketsync.Options{}, fmt.Errorf("read the bandwidth of %s: %w", b.Name, err)
	}
	table, err := readPrices(m.file.Resolve(m.file.Prices))
	if err != nil {
		return bucketsync.Options{}, err
	}
	return bucketsync.Options{
		Prices:    table,
		Migration: m.file.Name, Stage: stage, Name: b.Name, From: from, To: to, Create: b.Create,
		Manifest: m.manifest(b), Delete: true, Conflict: bucketsync.Conflict(b.Conflict), AllowExtra: b.AllowExtra, MaxDelete: b.MaxDelete,
		Memory: m.memory, Bandwidth: bandwidth, Hash: bucket.Algorithm(b.Hash),
		AcceptLostLocks: b.Locks == locksDrop, Keys: b.KMS, Versions: b.Versions,
		Configuration: bucketsync.ConfigurationMode(b.Configuration),
		Asked:         m.opts.Asked, Log: m.opts.Log, Clock: m.opts.Clock, Observer: observer{m},
		Progress: copying(m.event, stage),
	}, nil
}

// manifest is where the engine remembers what it copied of a bucket.
func (m *Migration) manifest(b migration.Bucket) string {
	return filepath.Join(m.file.StateDir(), "manifests", b.Name+".jsonl")
}

// syncStage copies a bucket while blue writes to it, again and again until the delta is small.
func (m *Migration) syncStage(name string, b migration.Bucket) stage {
	return backedUp(withStep(m, stage{name: name, verb: "sync", bucket: b.Name, title: "clone bucket " + b.Name + " while blue writes to it"},
		func(ctx context.Context) (bucketsync.Options, error) { return m.syncOptions(ctx, name, b) },
		func(ctx context.Context, opts bucketsync.Options) (*plan.Plan, error) {
			p, err := planSync(ctx, opts)
			if err != nil {
				return p, err
			}
			if err := m.ownApart(p, opts.From, opts.To); err != nil {
				return nil, err
			}
			return p, m.noteCosts(ctx, p, b, opts.Prices)
		}, m.warmSync))
}

// ownApart refuses what the migration keeps for itself inside of a place that is a directory, whichever way that is reached: the file's own
// check goes by names. It would be copied with the objects, or deleted, and no two listings would be alike.
func (m *Migration) ownApart(p *plan.Plan, places ...bucket.Bucket) error {
	kept := []struct{ what, field, path string }{{"state", "state.directory", m.file.StateDir()}}
	if url := m.file.Archive.URL; url != "" && !strings.Contains(url, "://") {
		kept = append(kept, struct{ what, field, path string }{"archive", "archive.url", m.file.Resolve(url)})
	}
	for _, own := range kept {
		for _, at := range places {
			inside, err := bucketsync.HoldsFile(at, own.path)
			if err != nil {
				return err
			}
			if inside {
				p.Refuse(own.field, fmt.Sprintf("the %s, %s, lies in %s and would be taken for objects of it", own.what, own.path, at.Describe().URL), "keep the "+own.what+" in a folder of its own")
			}
		}
	}
	return nil
}

// planSync refuses, before anything is frozen, what would only fail the proof of equality within the freeze.
func planSync(ctx context.Context, opts bucketsync.Options) (*plan.Plan, error) {
	p, err := bucketsync.Plan(ctx, opts)
	if err != nil || len(p.Data) == 0 {
		return p, err
	}
	var planned bucketsync.Planned
	if err := json.Unmarshal(p.Data, &planned); err != nil {
		return nil, fmt.Errorf("read the plan of bucket %s: %w", opts.Name, err)
	}
	if planned.Extra > 0 && !opts.AllowExtra {
		p.Refuse("bucket "+opts.Name, fmt.Sprintf("its destination holds %s that the source has not and that this migration did not copy: both sides could not be proven equal", cli.Count(int(planned.Extra), "object")),
			"copy to blue what is needed, and take the rest out of the destination; or say allowExtra: true for the bucket")
	}
	return p, nil
}

// warmResult is a warm sync: its last round, and how many it took.
type warmResult struct {
	bucketsync.Result
	Rounds int   `json:"rounds"`
	Delta  int64 `json:"delta"` // objects that still differed when it ended
}

func (m *Migration) warmSync(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts bucketsync.Options) (warmResult, error) {
	limit := int64(m.file.Cutover.MaxDelta)
	if limit == 0 {
		limit = defaultMaxDelta
	}
	result, err := warmRounds(ctx, p, rec, opts, limit)
	return result, nameFailures(opts.Manifest+failuresSuffix, m.redact, err)
}

// warmRounds copies again and again until at most limit objects differ.
func warmRounds(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts bucketsync.Options, limit int64) (result warmResult, err error) {
	if result.Result, err = bucketsync.Apply(ctx, p, rec, opts); err != nil {
		return result, err
	}
	for result.Rounds = 1; ; result.Rounds++ {
		if result.Delta, _, err = bucketsync.Delta(ctx, opts); err != nil {
			return result, err
		}
		if result.Delta <= limit {
			return result, nil
		}
		if result.Rounds == maxWarmRounds {
			return result, fmt.Errorf("after %d rounds %d objects still differ, more than the %d that are allowed: the source is written faster than the copy; allow more (cutover.maxDelta, or --max-delta) and accept a longer freeze", result.Rounds, result.Delta, limit)
		}
		opts.Log.InfoContext(ctx, "copying again: the source was written since", "bucket", opts.Name, "objects", result.Delta, "allowed", limit)
		again, err := bucketsync.Plan(ctx, opts)
		if err != nil {
			return result, err
		}
		// The rounds after the first repeat its change: copying is idempotent and needs no record of its own.
		round, err := bucketsync.Apply(ctx, again, &plan.MemoryRecorder{}, opts)
		if err != nil {
			return result, err
		}
		result.Copied, result.Bytes = result.Copied+round.Copied, result.Bytes+round.Bytes
	}
}

// finalSyncStage makes a bucket equal within the freeze, and proves it.
func (m *Migration) finalSyncStage(b migration.Bucket) stage {
	name := "final-sync/" + b.Name
	return withStep(m, stage{name: name, bucket: b.Name, title: "make bucket " + b.Name + " equal, and prove it"},
		func(ctx context.Context) (bucketsync.Options, error) {
			opts, err := m.syncOptions(ctx, name, b)
			opts.Final = true
			return opts, err
		},
		bucketsync.Plan, func(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts bucketsync.Options) (finalResult, error) {
			return m.finalSync(ctx, p, rec, opts, m.manifest(b)+provenSuffix)
		})
}

// provenSuffix is behind the name of a manifest whose signed form it is.
const provenSuffix = ".proven"

// failuresSuffix is behind the name of a manifest whose sync failed at the objects that the file names.
const failuresSuffix = ".failures"

// finalResult is a final sync, and the signed manifest of what it has proven.
type finalResult struct {
	bucketsync.Result
	Manifest *SignedManifest `json:"manifest,omitempty"`
}

// finalSync makes both sides equal, proves it, and leaves a signed manifest of that.
func (m *Migration) finalSync(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts bucketsync.Options, path string) (result finalResult, err error) {
	key, err := attest.ReadOrMakeKey(filepath.Join(m.file.StateDir(), signingKey))
	if err != nil {
		return result, err
	}
	t := &testimony{path: path, key: key, head: attest.Header{
		From: opts.From.Describe().URL, To: opts.To.Describe().URL, Tool: m.opts.Tool, Mode: string(bucketsync.ModeProof), CurrentOnly: opts.Versions,
	}}
	opts.Witness = t.begin
	result.Result, err = bucketsync.Apply(ctx, p, rec, opts)
	if err = nameFailures(opts.Manifest+failuresSuffix, m.redact, err); err != nil {
		return result, errors.Join(err, t.drop())
	}
	if t.out == nil && result.Proof != nil && result.Proof.Equal {
		// A run that was killed behind the change, and before the stage had ended, has made the proof, and its manifest may be lost.
		if err := proveAgain(ctx, opts, &result); err != nil {
			return result, errors.Join(err, t.drop())
		}
	}
	result.Manifest, err = t.end(result.Proof, m.opts.Clock)
	return result, err
}

// proveAgain makes the proof of a bucket once more, for its witness. Blue is still frozen and green not started, so that both sides are
// what they were.
func proveAgain(ctx context.Context, opts bucketsync.Options, result *finalResult) error {
	report, err := bucketsync.Verify(ctx, bucketsync.VerifyOptions{
		From: opts.From, To: opts.To, Prefix: opts.Prefix, Range: opts.Range, Filter: opts.Filter, Mode: bucketsync.ModeProof, Manifest: opts.Manifest,
		AllowExtra: opts.AllowExtra, Versions: opts.Versions, Hash: opts.Hash, Concurrency: opts.Concurrency, TempDir: opts.TempDir, Witness: opts.Witness,
		Log: opts.Log, Clock: opts.Clock, Progress: opts.Progress,
	})
	if err != nil {
		return err
	}
	if !report.Equal {
		return fmt.Errorf("bucket %s was proven equal, and is not any more: %d objects are missing, %d differ, %d are only at the destination; find out who writes to it", opts.Name, report.Missing, report.Differ, report.Extra)
	}
	result.Proof = &report
	return nil
}

// backResult is a bucket's way back.
type backResult struct {
	bucketsync.Result
	// NotBrought says why nothing was brought back, where an operator has said to go back all the same.
	NotBrought string `json:"notBrought,omitempty"`
}

// backSyncStage brings back to blue what green wrote to a bucket, and proves both sides equal. What changed on both sides
// stops it, unless it is to be left: neither version is overwritten.
func (m *Migration) backSyncStage(b migration.Bucket, leave bool) stage {
	name := "back-sync/" + b.Name
	return withStep(m, stage{name: name, bucket: b.Name, title: "bring back to blue what green wrote to bucket " + b.Name + ", and prove it"},
		func(ctx context.Context) (bucketsync.Options, error) { return m.backOptions(ctx, b, leave) },
		func(ctx context.Context, opts bucketsync.Options) (*plan.Plan, error) {
			return m.planBack(ctx, b, opts)
		},
		func(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts bucketsync.Options) (backResult, error) {
			result, err := bucketsync.ApplyBack(ctx, p, rec, opts)
			return backResult{Result: result}, nameFailures(opts.Manifest+failuresSuffix, m.redact, err)
		})
}

func (m *Migration) backOptions(ctx context.Context, b migration.Bucket, leave bool) (bucketsync.Options, error) {
	opts, err := m.syncOptions(ctx, "back-sync/"+b.Name, b)
	opts.Conflict = bucketsync.ConflictFail
	if leave {
		opts.Conflict = bucketsync.ConflictSkip
	}
	return opts, err
}

// planBack refuses where the memory of what was copied is lost: nothing else tells green's writes from blue's.
func (m *Migration) planBack(ctx context.Context, b migration.Bucket, opts bucketsync.Options) (*plan.Plan, error) {
	p, err := bucketsync.PlanBack(ctx, opts)
	if err != nil {
		return nil, err
	}
	synced, err := m.known("final-sync/" + b.Name)
	if err != nil {
		return nil, err
	}
	var final bucketsync.Result
	if synced.Finished && json.Unmarshal(synced.Result, &final) == nil && final.Proof != nil && final.Proof.Objects > 0 && !bucketsync.HasManifest(opts.Manifest) {
		p.Refuse("bucket "+b.Name, "the manifest "+opts.Manifest+" is lost: nothing else tells what green wrote from what was copied", "put it back, with the rest of the state directory")
	}
	return p, nil
}

// leaveBucket ends a bucket's way back that cannot be gone, because an operator has said to go back without it.
func (m *Migration) leaveBucket(ctx context.Context, s stage, cause error) error {
	m.opts.Log.WarnContext(ctx, "what green wrote to a bucket stays there", "bucket", s.bucket, "because", cause.Error())
	if err := m.resetAll([]string{s.name}, cause.Error()); err != nil {
		return err
	}
	p := plan.New(m.file.Name, s.name)
	p.Note(plan.Loss, "bucket "+s.bucket, "what green wrote there stays there: "+cause.Error())
	if err := m.journal.SavePlan(p); err != nil {
		return err
	}
	return m.journal.Finish(s.name, backResult{NotBrought: cause.Error()})
}

// forgetBack removes what is left of the manifest of a bucket's way back.
func (m *Migration) forgetBack(b migration.Bucket) error {
	for _, path := range bucketsync.BackManifest(m.manifest(b)) {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the manifest of the way back: %w", err)
		}
	}
	return nil
}

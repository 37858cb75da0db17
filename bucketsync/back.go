package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/crossfade-project/crossfade/internal/plan"
)

// The way back. The manifest of a sync says in which versions both sides were equal. Turned round, it says of each object
// of the source, which is the destination now, whether it is as it was then, and so whether it may be replaced or
// deleted by what the other side has made of it. The ordinary engine does the rest:
//
//	destination, since both were equal | source, since then | on the way back
//	-----------------------------------+--------------------+---------------------------------
//	same                               | deleted            | made again at the source
//	same                               | same, changed      | nothing, and what changed is a conflict
//	changed                            | same               | overwritten at the source
//	deleted                            | same               | deleted at the source
//	made                               | has none           | made at the source
//	changed, deleted or made           | changed or made    | conflict, unless both are equal now
//	was there and not this migration's | any                | nothing
//
// PATH.back stands beside the manifest while a way back is under way. It is derived once, replaced whole, and goes when the
// manifest has been derived from it again, after the proof. A kill leaves either it or the manifest, and both are right.

// PlanBack plans to bring back to opts.From what opts.To has taken since both were proven equal. Options are those of the
// forward sync; of Conflict, only ConflictFail and ConflictSkip are taken. It changes nothing.
func PlanBack(ctx context.Context, opts Options) (p *plan.Plan, err error) {
	opts = opts.withDefaults()
	if opts.Manifest == "" || opts.Conflict == ConflictOverwrite {
		return nil, fmt.Errorf("plan the way back of %s: it needs a manifest, and overwrites nothing that changed on both sides", opts.Name)
	}
	path := opts.backManifest()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		dir, err := os.MkdirTemp(opts.TempDir, "crossfade-back-*")
		if err != nil {
			return nil, fmt.Errorf("plan the way back of %s: %w", opts.Name, err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		path = filepath.Join(dir, "manifest")
		if err := opts.deriveBack(path); err != nil {
			return nil, fmt.Errorf("plan the way back of %s: %w", opts.Name, err)
		}
	}
	return Plan(ctx, opts.reversed(path))
}

// ApplyBack makes the changes of a plan of PlanBack, proves both sides equal, and brings the manifest up to date: the next
// forward sync starts from there. Objects that a proof may pass over are what Conflict says to skip, and what the source
// has of its own.
func ApplyBack(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts Options) (Result, error) {
	opts = opts.withDefaults()
	var result Result
	err := plan.Run(ctx, p, rec, plan.RunOptions{Observer: opts.Observer}, func(ctx context.Context, c plan.Change) (any, error) {
		if c.Action != ActionSync {
			return nil, fmt.Errorf("unknown action %q on the way back", c.Action)
		}
		path := opts.backManifest()
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if err := opts.deriveBack(path); err != nil {
				return nil, err
			}
		}
		var err error
		if result, err = applySync(ctx, c, opts.reversed(path)); err != nil {
			return result, opts.mendOwnFile(err)
		}
		return result, opts.restoreManifest(path)
	})
	if err != nil {
		return result, err
	}
	return recorded(p, rec, result)
}

// BackManifest names the files beside a manifest that a way back leaves where it was not gone to its end.
func BackManifest(manifest string) []string {
	return []string{manifest + ".back.log", manifest + ".back"}
}

// HasManifest reports whether anything of a manifest is on disk.
func HasManifest(manifest string) bool {
	for _, path := range append(BackManifest(manifest), manifest, manifest+".log") {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return false
}

func (o Options) backManifest() string { return o.Manifest + ".back" }

// reversed are the options of the way back of a forward sync's.
func (o Options) reversed(manifest string) Options {
	o.From, o.To, o.Manifest = o.To, o.From, manifest
	o.Create, o.Delete, o.DeleteForeign, o.Configuration = false, true, false, ConfigureIgnore
	o.Final, o.AllowExtra, o.AllowConflicts = true, true, o.Conflict == ConflictSkip
	o.back, o.Keys, o.Versions = true, turned(o.Keys), false
	return o
}

// turned is a map of keys for the way back. Where several keys became one, it is the first of them.
func turned(keys map[string]string) map[string]string {
	back := make(map[string]string, len(keys))
	for _, from := range slices.Backward(slices.Sorted(maps.Keys(keys))) {
		if to := keys[from]; to != KeyProvider {
			back[to] = from
		}
	}
	return back
}

// manifests opens the forward manifest and its reverse.
func (o Options) manifests(path string) (forward, back *manifest, err error) {
	from, to := o.From.Describe(), o.To.Describe()
	forward, err = openManifest(o.Manifest, o.TempDir, from, to)
	if err != nil {
		return nil, nil, err
	}
	back, err = openManifest(path, o.TempDir, to, from)
	return forward, back, err
}

// deriveBack writes the reverse of the forward manifest. A log of an earlier way back says nothing about this one.
func (o Options) deriveBack(path string) error {
	forward, back, err := o.manifests(path)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = errors.Join(removeIfThere(back.logPath()), removeIfThere(finishedPath(back.path)))
	}
	if err == nil {
		err = back.rewrite(reversedRecords(forward.all()))
	}
	if err != nil {
		return fmt.Errorf("derive the manifest of the way back: %w", err)
	}
	return nil
}

// restoreManifest derives the forward manifest from the one of the way back, once both sides are proven equal.
func (o Options) restoreManifest(path string) error {
	forward, back, err := o.manifests(path)
	if err == nil {
		err = forward.compact() // its log would speak last
	}
	if err == nil {
		err = forward.rewrite(restoredRecords(back.all(), forward.all()))
	}
	if err == nil {
		err = errors.Join(removeIfThere(back.logPath()), removeIfThere(back.path))
	}
	if err != nil {
		return fmt.Errorf("bring the manifest up to date after the way back: %w", err)
	}
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// reverse swaps what a record says of both sides.
func (r Record) reverse() Record {
	r.Source, r.Destination = r.Destination, r.Source
	return r
}

// reversedRecords turns records round. What was equal on both sides may be replaced at the source as long as it is as it
// was then, whoever wrote it there. An intent says nothing of an equality, and what it would have written is made again.
func reversedRecords(records iter.Seq2[Record, error]) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for r, err := range records {
			switch {
			case err != nil:
			case r.State == StateCopied, r.State == StateFound:
				r = r.reverse()
				r.State = StateCopied
			case r.State == StateForeign:
				r = r.reverse()
			default:
				continue
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// restoredRecords turns the records of a finished way back round again. What the destination had of its own, and still has in
// the same version, does not become this migration's by that; what was written there since does: the next sync may
// replace it.
func restoredRecords(back, forward iter.Seq2[Record, error]) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for both, err := range together("read the manifest of the way back", back, "read the manifest", forward) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			now, was := both[0], both[1]
			if now == nil || now.State == StateIntent {
				continue
			}
			r := now.reverse()
			if was != nil && was.State == StateFound && was.Destination == r.Destination && r.State == StateCopied {
				r.State = StateFound
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

package crossfade

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/attest"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// places are two buckets in memory that syncs of one directory join.
type places struct {
	t        *testing.T
	from, to bucket.Bucket
	dir      string
	open     func(context.Context, Store) (bucket.Bucket, error)
}

func newPlaces(t *testing.T) *places {
	t.Helper()
	p := &places{t: t, dir: t.TempDir(), open: inMemory(t)}
	var err error
	if p.from, err = p.open(t.Context(), Store{Bucket: "one"}); err == nil {
		p.to, err = p.open(t.Context(), Store{Bucket: "two"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *places) write(at bucket.Bucket, keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		if _, err := at.Put(p.t.Context(), key, strings.NewReader(key), int64(len(key)), bucket.PutOptions{}); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *places) remove(at bucket.Bucket, key string) {
	p.t.Helper()
	obj, err := at.Head(p.t.Context(), key)
	if err == nil {
		err = at.Delete(p.t.Context(), obj)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *places) keys(at bucket.Bucket) string {
	p.t.Helper()
	var keys []string
	for obj, err := range at.List(p.t.Context(), bucket.ListOptions{}) {
		if err != nil {
			p.t.Fatal(err)
		}
		keys = append(keys, obj.Key)
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

func (p *places) sync(opts SyncOptions) (*SyncReport, error) {
	p.t.Helper()
	opts.From, opts.To, opts.Dir = Store{Bucket: "one"}, Store{Bucket: "two"}, p.dir
	s, err := OpenSync(p.t.Context(), opts, Options{OpenBucket: p.open})
	if err != nil {
		p.t.Fatal(err)
	}
	report, err := s.Run(p.t.Context())
	return report, errors.Join(err, s.Close())
}

func (p *places) mustSync(opts SyncOptions) *SyncReport {
	p.t.Helper()
	report, err := p.sync(opts)
	if err != nil {
		p.t.Fatal(err)
	}
	return report
}

func only(globs ...string) bucketsync.Filter { return bucketsync.Filter{Include: globs} }

// Of keys that no proof was of, nothing tells what the destination has taken since: they are neither deleted nor brought.
func TestI03_TheWayBackTouchesProvenKeysAlone(t *testing.T) {
	begun := func(t *testing.T) *places {
		p := newPlaces(t)
		p.write(p.from, "k1", "k2", "k3")
		p.mustSync(SyncOptions{})
		return p
	}
	t.Run("a narrowed proof", func(t *testing.T) {
		p := begun(t)
		p.remove(p.to, "k2")
		p.write(p.to, "k4")
		p.mustSync(SyncOptions{Final: true, Filter: only("k1")})
		p.remove(p.to, "k1")
		if r := p.mustSync(SyncOptions{Reverse: true}); r.Copied != 0 || r.Deleted != 1 {
			t.Errorf("it did %+v", r.Result)
		}
		if got := p.keys(p.from); got != "k2 k3" {
			t.Errorf("the source has %s", got)
		}
	})
	t.Run("two narrowed proofs, of which the second has a file of its own", func(t *testing.T) {
		p := begun(t)
		p.mustSync(SyncOptions{Final: true, Filter: only("k1")})
		p.mustSync(SyncOptions{Final: true, Filter: only("k2"), WriteManifest: filepath.Join(t.TempDir(), "k2.jsonl")})
		for _, key := range []string{"k1", "k2", "k3"} {
			p.remove(p.to, key)
		}
		p.write(p.to, "k4")
		p.mustSync(SyncOptions{Reverse: true, Filter: only("k2", "k3")})
		if got := p.keys(p.from); got != "k1 k3" {
			t.Errorf("narrowed further, the source has %s", got)
		}
		p.mustSync(SyncOptions{Reverse: true})
		if got := p.keys(p.from); got != "k3" {
			t.Errorf("the source has %s", got)
		}
	})
	t.Run("a narrowed proof after one of every key", func(t *testing.T) {
		p := begun(t)
		p.mustSync(SyncOptions{Final: true})
		p.mustSync(SyncOptions{Final: true, Filter: only("k1"), WriteManifest: filepath.Join(t.TempDir(), "k1.jsonl")})
		p.remove(p.to, "k2")
		p.write(p.to, "k4")
		p.mustSync(SyncOptions{Reverse: true})
		if got := p.keys(p.from); got != "k1 k3 k4" {
			t.Errorf("the source has %s", got)
		}
	})
}

// A signed manifest says of which keys it is, is held against a place for those alone, and never takes the place of a wider one.
func TestTheSignedManifestSaysOfWhichKeysItIs(t *testing.T) {
	p := newPlaces(t)
	p.write(p.from, "k1", "k2", "k3")
	path := filepath.Join(p.dir, provenManifest)
	narrow := bucketsync.Filter{Include: []string{"k*"}, Exclude: []string{"k3"}}
	p.mustSync(SyncOptions{})
	if r := p.mustSync(SyncOptions{Final: true, Filter: narrow}); r.Manifest == nil || !r.Manifest.Keys.Equal(narrow) {
		t.Fatalf("%+v", r.Manifest)
	}
	check := func(filter bucketsync.Filter) *ManifestVerification {
		t.Helper()
		v, err := VerifyManifest(t.Context(), ManifestOptions{Path: path, Place: Store{Provider: "memory", Bucket: "two"}, Filter: filter}, Options{OpenBucket: p.open})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	var text strings.Builder
	v := check(bucketsync.Filter{})
	if err := v.Print(&text); err != nil || !v.OK() || v.Place.Objects != 2 || !strings.Contains(text.String(), "of the keys +k* -k3 alone") {
		t.Errorf("%v: %s", err, text.String())
	}
	if v := check(only("k2", "k3")); !v.OK() || v.Place.Objects != 1 {
		t.Errorf("narrowed further: %+v", v.Place)
	}

	p.mustSync(SyncOptions{Final: true}) // a wider one takes its place
	for name, err := range map[string]error{
		"a final sync": func() error { _, err := p.sync(SyncOptions{Final: true, Filter: narrow}); return err }(),
		"verify": func() error {
			s, err := OpenSync(t.Context(), SyncOptions{From: Store{Bucket: "one"}, To: Store{Bucket: "two"}, Dir: p.dir, Filter: narrow, WriteManifest: path}, Options{OpenBucket: p.open})
			if err == nil {
				_, err = s.Verify(t.Context(), VerifyOptions{Mode: "full"})
			}
			return err
		}(),
	} {
		var refused *plan.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "is the signed manifest of every key") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if head, err := attest.ReadHeader(path); err != nil || head.Objects != 3 {
		t.Errorf("the wider manifest is gone: %+v, %v", head, err)
	}
}

// A run that was killed after the last change of a final sync, and before its stage had ended, leaves the proof and no manifest of it: the
// next one makes it.
func TestTheSignedManifestOutlivesAKillBehindItsProof(t *testing.T) {
	p := newPlaces(t)
	p.write(p.from, "a", "b", "c")
	m := Inspect(load(t, shared), Options{})
	if err := os.MkdirAll(m.file.StateDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	opts := bucketsync.Options{Migration: "m", Stage: "final-sync/data", Name: "data", From: p.from, To: p.to, Manifest: filepath.Join(p.dir, "manifest"), Final: true}
	rec := &plan.MemoryRecorder{}
	planned, err := bucketsync.Plan(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(p.dir, "proven")
	for _, when := range []string{"the first time", "after the kill"} {
		result, err := m.finalSync(t.Context(), planned, rec, opts, path)
		if err != nil {
			t.Fatal(err)
		}
		if result.Manifest == nil || result.Manifest.Objects != 3 {
			t.Fatalf("%s the manifest is %+v", when, result.Manifest)
		}
		if err := os.Remove(path); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
	}
	p.remove(p.to, "b")
	if _, err := m.finalSync(t.Context(), planned, rec, opts, path); err == nil || !strings.Contains(err.Error(), "1 objects are missing") {
		t.Errorf("a bucket that has changed since gives %v", err)
	}
}

package crossfade

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/cli"
)

// VerifyOptions choose what is verified. The zero value compares every bucket by its listings and reads the archive.
type VerifyOptions struct {
	// Buckets by name. Empty means all.
	Buckets []string
	// Mode is "size", "listing", "sample", "proof" or "full".
	Mode string
	// SampleSize is how many objects the mode sample reads of each bucket; 0 is 100. Seed chooses them; empty is one by chance, and the
	// result tells which.
	SampleSize  int
	Seed        string
	SkipArchive bool
}

// Verification is what was found.
type Verification struct {
	Buckets []BucketVerification  `json:"buckets,omitempty"`
	Archive *archive.VerifyReport `json:"archive,omitempty"`
}

// BucketVerification is one bucket's.
type BucketVerification struct {
	Name string `json:"name"`
	bucketsync.Report
	// Manifest is the signed manifest that was written, or nil.
	Manifest *SignedManifest `json:"manifest,omitempty"`
	// unproven says what to do about what is unproven, where it is not what Print says by itself.
	unproven string
}

// OK is true when every bucket was proven equal.
func (v *Verification) OK() bool {
	return !slices.ContainsFunc(v.Buckets, func(b BucketVerification) bool { return !b.Equal })
}

// Verify compares the buckets of both sides and reads the archive. It changes nothing. What differs is in the result; an
// error means that it could not look, or that the archive is damaged.
func (m *Migration) Verify(ctx context.Context, opts VerifyOptions) (_ *Verification, err error) {
	defer func() { err = m.redact.Error(err) }()
	mode, err := verifyMode(opts.Mode)
	if err != nil {
		return nil, err
	}
	seed, err := seedOr(opts.Seed, mode)
	if err != nil {
		return nil, err
	}
	for _, name := range opts.Buckets {
		if err := m.checkBucket(name); err != nil {
			return nil, err
		}
	}
	v := &Verification{}
	for _, b := range m.file.Buckets {
		if len(opts.Buckets) > 0 && !slices.Contains(opts.Buckets, b.Name) {
			continue
		}
		from, err := m.bucketAt(ctx, b.From)
		if err != nil {
			return nil, err
		}
		to, err := m.bucketAt(ctx, b.To)
		if err != nil {
			return nil, err
		}
		stage := verifyName + "/" + b.Name
		m.event(Event{Kind: StageBegan, Stage: stage, Text: from.Describe().URL + " and " + to.Describe().URL})
		r, err := bucketsync.Verify(ctx, bucketsync.VerifyOptions{
			From: from, To: to, Mode: mode, SampleSize: opts.SampleSize, Seed: seed, Manifest: m.manifest(b), Versions: b.Versions, Hash: bucket.Algorithm(b.Hash),
			Log: m.opts.Log, Clock: m.opts.Clock, Progress: comparing(m.event, stage),
		})
		m.event(Event{Kind: StageEnded, Stage: stage, Err: err})
		if err != nil {
			return nil, fmt.Errorf("verify bucket %s: %w", b.Name, err)
		}
		v.Buckets = append(v.Buckets, BucketVerification{Name: b.Name, Report: r})
	}
	if opts.SkipArchive || len(opts.Buckets) > 0 {
		return v, nil
	}
	reader, err := m.openArchive(ctx)
	if err != nil {
		return nil, err
	}
	report, err := reader.Verify(ctx)
	if err != nil {
		return nil, err
	}
	v.Archive = &report
	return v, nil
}

// verifyName is the stage that events of a comparison belong to, with the bucket's name behind it where a migration has several.
const verifyName = "verify"

// comparing tells of a comparison as events.
func comparing(tell func(Event), stage string) func(bucketsync.Progress) {
	return func(p bucketsync.Progress) { tell(Event{Kind: Comparing, Stage: stage, Copy: &p}) }
}

// copying tells of a copy, and of the proof at its end, as events.
func copying(tell func(Event), stage string) func(bucketsync.Progress) {
	compare := comparing(tell, stage)
	return func(p bucketsync.Progress) {
		if p.Phase != "" {
			compare(p)
			return
		}
		tell(Event{Kind: Copying, Stage: stage, Copy: &p})
	}
}

// verifyMode reads the name of a mode; none is that of the listings.
func verifyMode(name string) (bucketsync.Mode, error) {
	mode := bucketsync.Mode(cmp.Or(name, string(bucketsync.ModeListing)))
	if !slices.Contains([]bucketsync.Mode{bucketsync.ModeSize, bucketsync.ModeListing, bucketsync.ModeSample, bucketsync.ModeProof, bucketsync.ModeHash, bucketsync.ModeFull}, mode) {
		return "", &UnknownError{Kind: "mode", Name: name, Known: "it is size, listing, sample, proof, hash or full"}
	}
	return mode, nil
}

// Print writes the verification for people.
func (v *Verification) Print(w io.Writer) error {
	out := &printer{w: w}
	v.print(out)
	return out.err
}

func (v *Verification) print(out *printer) {
	for _, b := range v.Buckets {
		word := "equal"
		if !b.Equal {
			word = "NOT EQUAL"
		}
		unproven := !b.Equal && b.Unproven > 0 && b.Missing+b.Extra+b.Differ+b.Unreadable == 0
		if unproven {
			word = "NOT PROVEN"
		}
		out.f("bucket %s: %s (%s): %s, %s; missing %d, extra %d, differing %d, unreadable %d, unproven %d%s\n", b.Name, word, b.Mode, cli.Count(int(b.Objects), "object"), cli.Bytes(b.Bytes), b.Missing, b.Extra, b.Differ, b.Unreadable, b.Unproven, sampled(b.Report))
		for _, d := range b.Differences {
			out.f("  %s %s: %s\n", d.Kind, cli.Quoted(d.Key), d.What)
		}
		if unproven {
			out.f("  nothing differs as far as is known: %s\n", cmp.Or(b.unproven, "--mode proof reads what is unproven; what a sync has proven is known in its own directory, which --state names"))
		}
		if b.Equal && b.Objects == 0 {
			out.f("  warning: nothing was compared: neither side has a key that is among those to compare\n")
		}
		if b.Manifest != nil {
			b.Manifest.print(out)
		}
	}
	if v.Archive != nil {
		out.f("archive: revision %d, %s, %s: every hash is right; %d Secrets opened, %d not opened for want of the identity\n", v.Archive.Revision, cli.Count(v.Archive.Objects, "object"), cli.Bytes(v.Archive.Bytes), v.Archive.Opened, v.Archive.Sealed)
	}
}

// sampled says which sample was read: with the seed, anyone can read the same one again.
func sampled(r bucketsync.Report) string {
	if r.Mode != bucketsync.ModeSample {
		return ""
	}
	return fmt.Sprintf("; sample of %d read, seed %s", r.Sampled, r.Seed)
}

// seedOr returns a seed for a sample: the one that is given, or one by chance, so that nobody can know before which objects are read.
func seedOr(seed string, mode bucketsync.Mode) (string, error) {
	if seed != "" || mode != bucketsync.ModeSample {
		return seed, nil
	}
	var raw [8]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", fmt.Errorf("choose a sample: %w", err)
	}
	return hex.EncodeToString(raw[:]), nil
}

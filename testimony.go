package crossfade

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"

	"golang.org/x/crypto/ssh"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/attest"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/redact"
)

const (
	// signingKey signs manifests, in the directory of a sync or of a migration.
	signingKey = "signing.key"
	// provenManifest is what the last proof of a sync of two places found.
	provenManifest = "proven.jsonl"
)

// SignedManifest is what a proof has written: see docs/buckets.md.
type SignedManifest struct {
	Path    string `json:"path"`
	Objects int64  `json:"objects"`
	Root    string `json:"root"`
	// SignedBy is the fingerprint of the key, PublicKey the key itself.
	SignedBy  string `json:"signedBy"`
	PublicKey string `json:"publicKey"`
	// Keys are those that were compared.
	Keys bucketsync.Filter `json:"keys,omitzero"`
	// Hashes counts its entries by what is known of their content.
	Hashes attest.Hashes `json:"hashes,omitzero"`
	// CurrentOnly says that older versions were proven equal too, of which it has no entries.
	CurrentOnly bool `json:"currentOnly,omitempty"`
}

// testimony writes what a proof finds equal into a signed manifest.
type testimony struct {
	path string
	head attest.Header
	key  *attest.Key
	out  *attest.Writer
}

// begin is a bucketsync.Options.Witness.
func (t *testimony) begin() (func(bucketsync.Proven) error, error) {
	if err := t.drop(); err != nil { // of a proof that began anew
		return nil, err
	}
	out, err := attest.Create(t.path, t.head)
	if err != nil {
		return nil, err
	}
	t.out = out
	return func(p bucketsync.Proven) error {
		e := attest.Entry{
			Key: p.Key, Size: p.Size, MD5: p.MD5, Evidence: string(p.Evidence), Properties: p.Properties,
			Tag: p.Destination.ETag, Version: p.Destination.Version, Modified: p.Destination.Modified,
		}
		switch hash := bucket.ParseDigest(p.Hash); hash.Algorithm {
		case bucket.BLAKE3:
			e.BLAKE3 = hash.Value
		case bucket.SHA256:
			e.SHA256 = hash.Value
		}
		return out.Add(e)
	}, nil
}

func (t *testimony) drop() error {
	if t.out == nil {
		return nil
	}
	out := t.out
	t.out = nil
	return out.Abort()
}

// end puts the manifest into place where both sides were proven equal, and drops it where not. It is nil where there was no proof.
func (t *testimony) end(proof *bucketsync.Report, clock clock.Clock) (*SignedManifest, error) {
	if t.out == nil || proof == nil || !proof.Equal {
		return nil, t.drop()
	}
	out := t.out
	t.out = nil
	head, err := out.Close(t.key, clock.Now())
	if err != nil {
		return nil, err
	}
	return &SignedManifest{Path: t.path, Objects: head.Objects, Root: head.Root, SignedBy: t.key.Fingerprint(), PublicKey: t.key.Public(), Keys: choiceOf(head), Hashes: *head.Hashes, CurrentOnly: head.CurrentOnly}, nil
}

func (m *SignedManifest) print(out *printer) {
	out.f("signed manifest: %s, root %s, signed by %s%s\n", m.Path, m.Root, m.SignedBy, ofKeys(m.Keys))
	printEntries(out, m.Objects, m.Hashes, m.CurrentOnly)
	if m.Hashes.MD5+m.Hashes.None > 0 {
		out.f("  --proof hash of sync --final, or --mode hash of verify, reads and hashes what has none\n")
	}
}

// printEntries says what the entries of a manifest do not tell.
func printEntries(out *printer, objects int64, hashes attest.Hashes, currentOnly bool) {
	if currentOnly {
		out.f("  its entries are the current versions alone, %d: older ones were compared too, and have none\n", objects)
	}
	if hashes.MD5+hashes.None > 0 {
		out.f("  %s: %d with a hash of the content, %d with an MD5 alone, %d with the store's tag alone, which says nothing anywhere else\n", cli.Count(int(objects), "object"), hashes.Content, hashes.MD5, hashes.None)
	}
}

// ofKeys says which keys a manifest is of, where it is not every key.
func ofKeys(f bucketsync.Filter) string {
	if f.Everything() {
		return ""
	}
	return ", of the keys " + f.String() + " alone"
}

// ManifestOptions say which signed manifest is checked, and against what. Path is required.
type ManifestOptions struct {
	Path string
	// PublicKey must have signed it: the path of a public key, or its line. Empty takes any key.
	PublicKey string
	// Prove is a key whose inclusion is to be proven.
	Prove string
	// Place is compared with the manifest; its zero value compares nothing.
	Place Store
	// The rest is for that. Filter chooses among the keys that the manifest is of.
	Filter      bucketsync.Filter
	Mode        string
	SampleSize  int
	Seed        string
	AllowExtra  bool
	Concurrency int
}

// ManifestVerification is what was found.
type ManifestVerification struct {
	Path string `json:"path"`
	attest.Checked
	Proof *attest.Proof `json:"proof,omitempty"`
	// Place is the comparison with a place, nil where none was asked for or the manifest itself does not hold.
	Place *BucketVerification `json:"place,omitempty"`
	// Notes say what was not looked at.
	Notes []string `json:"notes,omitempty"`
}

// OK is true when everything that was asked for holds.
func (v *ManifestVerification) OK() bool { return v.Checked.OK() && (v.Place == nil || v.Place.Equal) }

// VerifyManifest checks a signed manifest, without any store, and then a place against it, where one is named. It changes
// nothing. What does not hold is in the result. Of the wiring it takes what OpenSync takes.
func VerifyManifest(ctx context.Context, opts ManifestOptions, wire Options) (_ *ManifestVerification, err error) {
	red := redact.New()
	red.Learn(wire.Secrets...)
	red.Learn(opts.Place.SecretKey)
	defer func() { err = red.Error(interruptedAlone(ctx, err, true)) }()
	mode, err := verifyMode(opts.Mode)
	if err != nil {
		return nil, err
	}
	var public ssh.PublicKey
	if opts.PublicKey != "" {
		if public, err = attest.ReadPublic(opts.PublicKey); err != nil {
			return nil, &InputError{err}
		}
	}
	v := &ManifestVerification{Path: opts.Path}
	v.Checked, v.Proof, err = attest.Read(opts.Path, attest.ReadOptions{Key: public, Prove: opts.Prove})
	if err != nil {
		return nil, err
	}
	if opts.Prove != "" && v.Proof == nil && v.Format != 0 {
		return nil, &UnknownError{Kind: "key", Name: opts.Prove, Known: opts.Path + " does not have it"}
	}
	if v.Checked.OK() && public == nil {
		v.Notes = append(v.Notes, "who signed was not checked: name the public key that you trust")
	}
	if opts.Place.Provider == "" {
		return v, nil
	}
	if !v.Checked.OK() {
		v.Notes = append(v.Notes, "the place was not compared: the manifest itself does not hold")
		return v, nil
	}
	return v, v.compare(ctx, opts, mode, wire, red)
}

// compare holds the place against the manifest.
func (v *ManifestVerification) compare(ctx context.Context, opts ManifestOptions, mode bucketsync.Mode, wire Options, red *redact.Redactor) error {
	if wire.OpenBucket == nil {
		return errors.New("no drivers of object stores are wired: set Options.OpenBucket")
	}
	filter := opts.Filter.Below().Within(choiceOf(v.Header))
	if err := filter.Check(); err != nil {
		return fmt.Errorf("choose the keys of %s: %w", opts.Path, err)
	}
	log := wire.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	log = slog.New(red.Handler(log.Handler()))
	at := opts.Place
	at.Silence = silenceLimit(wire.Silence, log)
	place, err := wire.OpenBucket(ctx, at)
	if err != nil {
		return unusable(ctx, fmt.Errorf("open the place: %w", err))
	}
	url := place.Describe().URL
	same := url == v.To
	if !same {
		v.Notes = append(v.Notes, fmt.Sprintf("properties were not compared: the manifest has them as %s keeps them", v.To))
	}
	seed, err := seedOr(opts.Seed, mode)
	if err != nil {
		return err
	}
	tell := wire.Events
	if tell == nil {
		tell = func(Event) {}
	}
	tell(Event{Kind: StageBegan, Stage: verifyName, Text: opts.Path + " and " + url})
	report, err := bucketsync.VerifyProven(ctx, bucketsync.ProvenOptions{
		Bucket: place, Proven: func() iter.Seq2[bucketsync.Proven, error] { return provenOf(opts.Path) }, Same: same, Filter: filter,
		Mode: mode, SampleSize: opts.SampleSize, Seed: seed, AllowExtra: opts.AllowExtra, Concurrency: opts.Concurrency, Log: log, Clock: wire.Clock,
		Objects: v.Objects, Bytes: v.Bytes, Progress: comparing(tell, verifyName),
	})
	tell(Event{Kind: StageEnded, Stage: verifyName, Err: red.Error(err)})
	if err != nil {
		return err
	}
	v.Place = &BucketVerification{Name: url, Report: report, unproven: "what the manifest has no hash of can be told at the place alone that was proven; --mode proof reads what it has one of"}
	if kept := report.Evidence[bucketsync.Recorded]; mode == bucketsync.ModeFull && kept > 0 {
		v.Notes = append(v.Notes, fmt.Sprintf("read and not compared was what the manifest has no digest of, %s: what is there is the version that was proven", cli.Count(int(kept), "object")))
	}
	return nil
}

// errStopped ends a reading that nobody listens to any more.
var errStopped = errors.New("stopped")

// provenOf yields the entries of a signed manifest.
func provenOf(path string) iter.Seq2[bucketsync.Proven, error] {
	return func(yield func(bucketsync.Proven, error) bool) {
		_, _, err := attest.Read(path, attest.ReadOptions{Each: func(e attest.Entry) error {
			hash := cmp.Or(bucket.Digest{Algorithm: bucket.BLAKE3, Value: e.BLAKE3}.String(), bucket.Digest{Algorithm: bucket.SHA256, Value: e.SHA256}.String())
			if !yield(bucketsync.Proven{
				Key: e.Key, Size: e.Size, Hash: hash, MD5: e.MD5, Properties: e.Properties,
				Destination: bucketsync.Seen{ETag: e.Tag, Version: e.Version, Size: e.Size, Modified: e.Modified},
			}, nil) {
				return errStopped
			}
			return nil
		}})
		if err != nil && !errors.Is(err, errStopped) {
			yield(bucketsync.Proven{}, err)
		}
	}
}

func (v *ManifestVerification) printHeader(out *printer, word string) {
	out.f("manifest %s: %s: %s, %s of %s, proven (%s) against %s on %s%s\n", v.Path, word, cli.Count(int(v.Objects), "object"), cli.Bytes(v.Bytes),
		v.To, v.Mode, v.From, v.Made.UTC().Format("2006-01-02 15:04:05 MST"), ofKeys(choiceOf(v.Header)))
	signed := "signed by " + cmp.Or(v.SignedBy, "nobody")
	if v.BadSignature {
		signed = "with a signature that does not hold"
	}
	out.f("  root %s, %s\n", v.Root, signed)
	if v.Hashes != nil {
		printEntries(out, v.Objects, *v.Hashes, v.CurrentOnly)
	}
}

// Print writes the verification for people.
func (v *ManifestVerification) Print(w io.Writer) error {
	out := &printer{w: w}
	word := "holds"
	if !v.Checked.OK() {
		word = "DOES NOT HOLD"
	}
	if v.Format == 0 {
		out.f("manifest %s: %s\n", v.Path, word)
	} else {
		v.printHeader(out, word)
	}
	for _, p := range v.Problems {
		out.f("  WRONG: %s\n", p)
	}
	if v.Proof != nil {
		out.f("  it is entry %d of %d, and the root follows from its line by these hashes:\n    %s\n", v.Proof.Index+1, v.Proof.Of, v.Proof.Line)
		for _, h := range v.Proof.Path {
			out.f("    %s\n", hex.EncodeToString(h))
		}
	}
	if v.Place != nil {
		(&Verification{Buckets: []BucketVerification{*v.Place}}).print(out)
	}
	for _, n := range v.Notes {
		out.f("note: %s\n", n)
	}
	return out.err
}

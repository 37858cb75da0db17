package bucketsync

import (
	"iter"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Whichever hash was chosen when a place was proven, it is checked with that one later, and bytes that rotted are found.
func TestHash_WhatWasProvenWithEitherIsCheckedWithIt(t *testing.T) {
	for _, hash := range []bucket.Algorithm{bucket.BLAKE3, bucket.SHA256} {
		r := newRig(t)
		r.from.noDigests, r.to.noDigests, r.opts.Hash = true, true, hash
		r.from.write(t, "k", "content")
		r.opts.Final = true
		var proven []Proven
		r.opts.Witness = func() (func(Proven) error, error) {
			proven = nil
			return func(p Proven) error { proven = append(proven, p); return nil }, nil
		}
		r.mustSync(t)
		if len(proven) != 1 || !strings.HasPrefix(proven[0].Hash, string(hash)+":") {
			t.Fatalf("%+v", proven)
		}
		for key, equal := range map[string]bool{"": true, "k": false} {
			report, err := VerifyProven(t.Context(), ProvenOptions{
				Bucket: &rot{r.to, key}, Mode: ModeFull, Clock: r.opts.Clock,
				Proven: func() iter.Seq2[Proven, error] {
					return func(yield func(Proven, error) bool) { yield(proven[0], nil) }
				},
			})
			if err != nil || report.Equal != equal || !equal && report.Differ != 1 {
				t.Fatalf("%s, rotten %q: %+v, %v", hash, key, report, err)
			}
		}
	}
}

// A hash that a later version may write is none that this one could check: that is not good news (I8).
func TestI08_AHashThatIsNotKnownProvesNothing(t *testing.T) {
	r := newRig(t)
	r.to.noDigests = true
	r.to.write(t, "k", "content")
	report, err := VerifyProven(t.Context(), ProvenOptions{
		Bucket: r.to, Mode: ModeFull, Clock: r.opts.Clock,
		Proven: func() iter.Seq2[Proven, error] {
			return func(yield func(Proven, error) bool) { yield(Proven{Key: "k", Size: 7, Hash: "blake9:00"}, nil) }
		},
	})
	if err != nil || report.Equal || report.Unproven != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
}

func TestHash_OnlyCryptographicOnesAreAnIdentity(t *testing.T) {
	for _, hash := range []bucket.Algorithm{bucket.MD5, bucket.CRC32C, "blake9"} {
		r := newRig(t)
		r.opts.Hash = hash
		if _, err := Plan(t.Context(), r.opts); err == nil || !strings.Contains(err.Error(), "choose blake3 or sha256") {
			t.Errorf("%s: %v", hash, err)
		}
	}
}

// The state of every hash is kept across a kill, whatever was hashed until then.
func TestB20_HashesGoOnFromTheirState(t *testing.T) {
	all := algorithms()
	text := []byte(strings.Repeat("0123456789abcdef", 70_000))
	want := newSums(all[:]...)
	_, _ = want.Write(text)
	for _, cut := range []int{0, 1, 16 << 10, 64<<10 + 1, 1 << 20, len(text)} {
		first := newSums(all[:]...)
		_, _ = first.Write(text[:cut])
		state, err := first.state()
		if err != nil {
			t.Fatal(err)
		}
		second := newSums(all[:]...)
		if err := second.restore(state); err != nil {
			t.Fatal(err)
		}
		_, _ = second.Write(text[cut:])
		if relation, _, _ := relate(want.digests(), second.digests(), true); relation != bucket.Same || len(second.digests()) != len(all) || second.content() != want.content() {
			t.Errorf("cut at %d: %+v", cut, second.digests())
		}
	}
}

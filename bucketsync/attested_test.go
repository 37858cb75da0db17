package bucketsync

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// heldAgainst verifies the destination against one thing that was proven.
func (r *rig) heldAgainst(t *testing.T, was Proven, mode Mode, same bool) Report {
	t.Helper()
	report, err := VerifyProven(t.Context(), ProvenOptions{
		Bucket: r.to, Mode: mode, Same: same, SampleSize: 10, TempDir: t.TempDir(), Clock: r.opts.Clock,
		Proven: func() iter.Seq2[Proven, error] {
			return func(yield func(Proven, error) bool) { yield(was, nil) }
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// What no digest was kept of is the version that was proven, or it is not: at the place itself that is evidence, and elsewhere it is none (I8).
func TestI08_WhereNoDigestWasKeptTheVersionDecidesAtTheSamePlaceAlone(t *testing.T) {
	for _, mode := range []Mode{ModeListing, ModeSample, ModeProof, ModeFull} {
		t.Run(string(mode), func(t *testing.T) {
			r := newRig(t)
			r.to.write(t, "k", "content")
			now, err := r.to.Head(t.Context(), "k")
			if err != nil {
				t.Fatal(err)
			}
			was := Proven{Key: "k", Size: 7, Destination: seen(now)}
			if report := r.heldAgainst(t, was, mode, true); !report.Equal || report.Evidence[Recorded] != 1 {
				t.Errorf("as it was: %+v", report)
			}
			if report := r.heldAgainst(t, was, mode, false); report.Equal || report.Unproven != 1 {
				t.Errorf("as it was, at another place: %+v", report)
			}
			if mode == ModeFull { // it is read all the same
				r.to.before = func(op, _ string) error {
					if op == "open" {
						return errors.New("the checksum did not match")
					}
					return nil
				}
				if report := r.heldAgainst(t, was, mode, true); report.Equal || report.Unreadable != 1 {
					t.Errorf("damaged: %+v", report)
				}
				r.to.before = nil
			}
			r.to.write(t, "k", "CONTENT")
			report := r.heldAgainst(t, was, mode, true)
			if report.Equal || report.Differ != 1 || !strings.Contains(report.Differences[0].What, "another version than was proven") {
				t.Errorf("replaced: %+v", report)
			}
			if report := r.heldAgainst(t, was, mode, false); report.Equal || report.Unproven != 1 {
				t.Errorf("another place: %+v", report)
			}
			was.Destination = Seen{Size: 7}
			if report := r.heldAgainst(t, was, mode, true); report.Equal || report.Unproven != 1 {
				t.Errorf("nothing known: %+v", report)
			}
		})
	}
}

// ModeHash leaves nothing without a hash of its content, and reads no more than that needs.
func TestModeHash_ReadsWhatHasNoHashAndNothingElse(t *testing.T) {
	r := newRig(t)
	for i := range 5 {
		key := fmt.Sprintf("there before %d", i)
		r.from.write(t, key, key)
		r.to.write(t, key, key)
		r.from.write(t, fmt.Sprint("new ", i), key)
	}
	var proven []Proven
	r.opts.Final = true
	r.opts.Witness = func() (func(Proven) error, error) {
		proven = nil
		return func(p Proven) error { proven = append(proven, p); return nil }, nil
	}
	r.mustSync(t)
	hashed := func() int {
		return len(slices.DeleteFunc(slices.Clone(proven), func(p Proven) bool { return !isIdentity(bucket.ParseDigest(p.Hash).Algorithm) }))
	}
	if len(proven) != 10 || hashed() != 5 {
		t.Fatalf("the test tests nothing: %d of %d have a hash", hashed(), len(proven))
	}
	r.opts.Proof = ModeHash
	result := r.mustSync(t)
	if hashed() != 10 || result.Proof.Evidence[Read] != 5 || result.Proof.Evidence[Acknowledged] != 5 {
		t.Fatalf("%d have a hash, %+v", hashed(), result.Proof.Evidence)
	}
	if report := r.verify(t, ModeHash); !report.Equal || report.Evidence[Read] != 5 {
		t.Fatalf("%+v", report)
	}
}

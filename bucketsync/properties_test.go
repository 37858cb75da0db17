package bucketsync

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// full has a value in every field, also in those that the contract gets later.
func full(t *testing.T) bucket.Properties {
	t.Helper()
	var p bucket.Properties
	v := reflect.ValueOf(&p).Elem()
	for i := range v.NumField() {
		field, name := v.Field(i), v.Type().Field(i).Name
		switch field.Interface().(type) {
		case string:
			field.SetString("value of " + name)
		case time.Time:
			field.Set(reflect.ValueOf(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)))
		case map[string]string:
			field.Set(reflect.ValueOf(map[string]string{"one-of-" + name: "1", "two": "2"}))
		case bucket.Lock:
			field.Set(reflect.ValueOf(bucket.Lock{Mode: bucket.Compliance, Until: time.Date(2130, 1, 2, 3, 4, 5, 0, time.UTC), Hold: true, EventHold: true}))
		case bucket.Encryption:
			field.Set(reflect.ValueOf(bucket.Encryption{Kind: bucket.ByService, Key: "blue-key"}))
		case *bucket.Modes:
			field.Set(reflect.ValueOf(&bucket.Modes{File: 0o600}))
		default:
			t.Fatalf("no value for %s of type %s: teach this test", name, field.Type())
		}
	}
	return p
}

// ledgerName is what the ledger calls a field; Other is entered by the names of what is in it.
func ledgerName(field string) []string {
	switch field {
	case "WebsiteRedirect":
		return []string{"website redirect"}
	case "Tags":
		return []string{"tags"}
	case "StorageClass":
		return []string{"storage class"}
	case "Metadata":
		return []string{"metadata key"}
	case "Lock":
		return []string{"lock"}
	case "Modes":
		return []string{"file mode"}
	case "Encryption":
		return []string{"encryption key"}
	case "Other":
		return []string{"one-of-Other", "two"}
	}
	return []string{field}
}

// Every property, one by one and all at once, is at the destination as it was or in the ledger of plan and result: for a store that holds
// everything, and for one that holds nothing that it may lack.
func TestI05_EveryPropertyIsPreservedMappedOrInTheLedger(t *testing.T) {
	poor := func(c *bucket.Capabilities) {
		c.Provider, c.MetadataKeys = "poor", bucket.MetadataIdentifiers
		c.MetadataName = func(key string) string { return strings.ReplaceAll(key, "-", "_2d_") }
		c.Tags, c.WebsiteRedirect, c.Expires, c.Locks, c.Keys = false, false, false, false, false
	}
	fields := reflect.TypeFor[bucket.Properties]()
	for name, caps := range map[string]func(*bucket.Capabilities){"rich": nil, "poor": poor} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.to.caps = caps
			r.to.guards = bucket.Guards{Retention: true, Holds: true, EventHolds: true}
			r.opts.AcceptLostLocks, r.opts.Keys = true, map[string]string{"blue-key": "blue-key"}
			if name == "poor" {
				r.opts.Keys["blue-key"] = KeyProvider
			}
			r.from.other = full(t).Other
			r.from.write(t, "k", "bytes", full(t))
			p := r.plan(t)
			result, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts)
			if err != nil {
				t.Fatal(err)
			}
			stored, err := r.to.Bucket.Head(t.Context(), "k")
			if err != nil {
				t.Fatal(err)
			}
			want, got := reflect.ValueOf(full(t)), reflect.ValueOf(*stored.Properties)
			for i := range fields.NumField() {
				field := fields.Field(i).Name
				if reflect.DeepEqual(want.Field(i).Interface(), got.Field(i).Interface()) && !got.Field(i).IsZero() {
					continue
				}
				for _, property := range ledgerName(field) {
					inLedger(t, result.Losses, property)
					inNotes(t, p, property)
				}
			}
		})
	}
}

func inLedger(t *testing.T, losses []Loss, property string) {
	t.Helper()
	for _, loss := range losses {
		if loss.Property == property && loss.Objects == 1 && len(loss.Examples) > 0 && loss.Examples[0].Key == "k" {
			return
		}
	}
	t.Errorf("%s is neither at the destination nor in the result's ledger: %+v", property, losses)
}

func inNotes(t *testing.T, p *plan.Plan, property string) {
	t.Helper()
	for _, n := range p.Notes {
		if n.Level == plan.Info && strings.HasPrefix(n.Text, "1 object: "+property+" is mapped") {
			return
		}
		if n.Level == plan.Loss && strings.HasSuffix(n.What, ": k") && strings.HasPrefix(n.Text, property+": ") {
			return
		}
	}
	t.Errorf("%s is not among the plan's losses: %+v", property, p.Notes)
}

func TestI05_StrictRefusesLosses(t *testing.T) {
	r := newRig(t)
	r.opts.Strict = true
	r.to.caps = func(c *bucket.Capabilities) { c.Tags = false }
	r.from.write(t, "k", "bytes", bucket.Properties{Tags: map[string]string{"a": "1"}})
	refused(t, r.opts, "tags is lost")
}

func TestI05_SumsAreWholeWhereExamplesEnd(t *testing.T) {
	r := newRig(t)
	r.to.caps = func(c *bucket.Capabilities) { c.Tags = false }
	for i := range maxExamples + 50 {
		r.from.write(t, fmt.Sprintf("k%03d", i), "x", bucket.Properties{Tags: map[string]string{"a": "1", "b": "2"}})
	}
	losses := r.mustSync(t).Losses
	if len(losses) != 1 || losses[0].Objects != maxExamples+50 || len(losses[0].Examples) != maxExamples {
		t.Fatalf("%d sums, %d objects, %d examples", len(losses), losses[0].Objects, len(losses[0].Examples))
	}
}

// Metadata whose keys the destination keeps under other names is mapped, not lost, and is not taken for a difference.
func TestB09_NamesThatTheStoreFoldsAreMapped(t *testing.T) {
	r := newRig(t)
	r.opts.Final = true
	r.to.caps = func(c *bucket.Capabilities) { c.MetadataKeys = bucket.MetadataLowerCase }
	r.to.stored = func(o *bucket.PutOptions, _ *[]byte) {
		o.Properties.Metadata = map[string]string{"owner": o.Properties.Metadata["Owner"]}
	}
	r.from.write(t, "k", "x", bucket.Properties{Metadata: map[string]string{"Owner": "a"}})
	result := r.mustSync(t)
	if len(result.Losses) != 1 || result.Losses[0].Fate != Mapped || !result.Proof.Equal {
		t.Fatalf("%+v %+v", result.Losses, result.Proof)
	}
}

func TestProperties_DifferencesSeeEveryField(t *testing.T) {
	caps := bucket.Capabilities{Tags: true, WebsiteRedirect: true, Expires: true}
	fields := reflect.TypeFor[bucket.Properties]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		if name == "Other" || name == "Modes" {
			continue // never written, or left to umasks and file systems
		}
		changed := full(t)
		reflect.ValueOf(&changed).Elem().Field(i).SetZero()
		if len(differences(full(t), changed, caps)) == 0 {
			t.Errorf("a lost %s is no difference", name)
		}
		if name != "StorageClass" && fingerprint(full(t), caps) == fingerprint(changed, caps) {
			t.Errorf("a lost %s gives the same fingerprint", name)
		}
	}
	if d := differences(full(t), full(t), caps); len(d) != 0 {
		t.Errorf("equal properties differ: %v", d)
	}
}

// An object that is looked at again because its copy was touched is not entered again: the ledger counts objects.
func TestI05_WhatWasOnlyTouchedIsInTheLedgerOnce(t *testing.T) {
	r := newRig(t)
	r.to.caps = func(c *bucket.Capabilities) { c.Provider, c.Tags = "poor", false }
	r.opts.Losses = filepath.Join(t.TempDir(), "losses.jsonl")
	r.from.write(t, "k", "x", bucket.Properties{ContentType: "text/plain", Tags: map[string]string{"team": "shop"}})
	r.mustSync(t)
	r.to.write(t, "k", "x", bucket.Properties{ContentType: "text/plain"})
	if again := r.mustSync(t); again.Found != 1 || again.Copied != 0 || len(again.Losses) != 0 {
		t.Errorf("%+v", again)
	}
	raw, err := os.ReadFile(r.opts.Losses)
	if err != nil || strings.Count(string(raw), "\n") != 1 {
		t.Errorf("%s, %v", raw, err)
	}
	// Another object at the source has losses of its own.
	r.from.write(t, "k", "x", bucket.Properties{ContentType: "text/plain", Tags: map[string]string{"team": "till"}})
	if other := r.mustSync(t); len(other.Losses) != 1 || other.Losses[0].Objects != 1 {
		t.Errorf("%+v", other)
	}
}

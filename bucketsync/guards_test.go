package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// far is a time at which locks of these tests still hold, by the engine's clock and by the buckets'.
func far(days int) time.Time { return time.Date(2130, 1, 1+days, 0, 0, 0, 0, time.UTC) }

func locked(l bucket.Lock) bucket.Properties { return bucket.Properties{Lock: l} }

// lockOf reads what an object's lock is at the destination.
func lockOf(t *testing.T, f *fake, key string) bucket.Lock {
	t.Helper()
	o, err := f.Bucket.Head(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return o.Properties.Lock
}

func TestB16_LocksAreCarried(t *testing.T) {
	r := newRig(t)
	r.to.guards = bucket.Guards{Retention: true, Holds: true, EventHolds: true}
	for name, lock := range map[string]bucket.Lock{
		"compliance": {Mode: bucket.Compliance, Until: far(0)}, "governance": {Mode: bucket.Governance, Until: far(1)},
		"hold": {Hold: true}, "event": {EventHold: true}, "both": {Mode: bucket.Compliance, Until: far(2), Hold: true}, "none": {},
	} {
		r.from.write(t, name, name, locked(lock))
	}
	result := r.mustSync(t)
	for _, name := range r.from.keys(t) {
		if want, got := lockOf(t, r.from, name), lockOf(t, r.to, name); got != want {
			t.Errorf("%s: the lock is %s, at the source %s", name, got, want)
		}
	}
	if len(result.Losses) != 0 {
		t.Errorf("a loss where nothing is lost: %v", result.Losses)
	}
}

// A destination that acknowledges an object and keeps a weaker lock than it was given has not taken it.
func TestB16_AShorterLockAtTheDestinationIsNoticed(t *testing.T) {
	want := bucket.Lock{Mode: bucket.Compliance, Until: far(5), Hold: true}
	for name, weaker := range map[string]bucket.Lock{
		"shorter": {Mode: bucket.Compliance, Until: far(4), Hold: true}, "laxer": {Mode: bucket.Governance, Until: far(5), Hold: true},
		"without its hold": {Mode: bucket.Compliance, Until: far(5)}, "none": {},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.to.guards = bucket.Guards{Retention: true, Holds: true}
			r.to.stored = func(o *bucket.PutOptions, _ *[]byte) { o.Properties.Lock = weaker }
			r.from.write(t, "k", "x", locked(want))
			var kept *PropertyError
			if _, err := r.sync(t); !errors.As(err, &kept) || kept.Property != "lock" {
				t.Fatalf("got %v", err)
			}
		})
	}
	// A longer one is no difference: a bucket may lock by itself.
	r := newRig(t)
	r.to.guards = bucket.Guards{Retention: true, Holds: true}
	r.to.stored = func(o *bucket.PutOptions, _ *[]byte) { o.Properties.Lock.Until = far(50) }
	r.from.write(t, "k", "x", locked(want))
	r.mustSync(t)
}

func TestB16_ALockThatCannotBeHeldIsRefusedOrAccepted(t *testing.T) {
	for name, poor := range map[string]func(*rig){
		"driver": func(r *rig) { r.to.caps = func(c *bucket.Capabilities) { c.Locks = false } },
		"bucket": func(r *rig) { r.to.guards = bucket.Guards{} },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			poor(r)
			r.from.write(t, "a", "1", locked(bucket.Lock{Mode: bucket.Governance, Until: far(0)}))
			r.from.write(t, "b", "1", locked(bucket.Lock{Hold: true}))
			r.from.write(t, "c", "1", locked(bucket.Lock{Mode: bucket.Governance, Until: time.Unix(1_600_000_000, 0)})) // it has ended
			refused(t, r.opts, `b: "a", "b": locked, which the destination cannot hold`)

			r.opts.AcceptLostLocks = true
			strict := r.opts
			strict.Strict = true
			refused(t, strict, "lock is lost")
			result := r.mustSync(t)
			if result.Copied != 3 || len(result.Losses) != 2 || result.Losses[0].Property != "lock" || result.Losses[0].Fate != Lost || result.Losses[0].Objects != 2 ||
				result.Losses[1].Fate != Mapped || result.Losses[1].Objects != 1 {
				t.Errorf("%+v", result)
			}
		})
	}
}

// A store without event-based holds keeps such an object by a legal hold, which ends no sooner.
func TestB16_AHoldByEventBecomesAHold(t *testing.T) {
	r := newRig(t)
	r.to.guards = bucket.Guards{Retention: true, Holds: true}
	r.from.write(t, "k", "x", locked(bucket.Lock{EventHold: true}))
	result := r.mustSync(t)
	if got := lockOf(t, r.to, "k"); got != (bucket.Lock{Hold: true}) || len(result.Losses) != 1 || result.Losses[0].Fate != Mapped {
		t.Errorf("the lock is %s, and the ledger %v", got, result.Losses)
	}
}

// What is locked at the destination is replaced only by this migration's own newer copy that is locked as long, where the store
// keeps the older one.
func TestB16_AnOverwriteOfALockIsRefused(t *testing.T) {
	retained := bucket.Lock{Mode: bucket.Compliance, Until: far(10)}
	longer := bucket.Lock{Mode: bucket.Compliance, Until: far(11)}
	for name, c := range map[string]struct {
		there, comes bucket.Lock
		own          bool
		keeps        bool
		refused      bool
	}{
		"somebody else's":           {there: retained, comes: longer, keeps: true, refused: true},
		"own, no longer locked":     {there: retained, own: true, keeps: true, refused: true},
		"own, locked for less long": {there: longer, comes: retained, own: true, keeps: true, refused: true},
		"own, locked for longer":    {there: retained, comes: longer, own: true, keeps: true},
		"own, and nothing is kept":  {there: retained, comes: longer, own: true, refused: true},
		"a hold":                    {there: bucket.Lock{Hold: true}, comes: longer, own: true, keeps: true, refused: true},
		"a lock that has ended":     {there: bucket.Lock{Mode: bucket.Compliance, Until: time.Unix(1_600_000_000, 0)}, own: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.opts.Conflict = ConflictOverwrite
			r.to.guards = bucket.Guards{Retention: true, Holds: true, KeepsLocked: c.keeps}
			if c.own {
				r.from.write(t, "k", "before", locked(c.there))
				r.mustSync(t)
			} else {
				r.to.write(t, "k", "before", locked(c.there))
			}
			r.from.write(t, "k", "after", locked(c.comes))
			if !c.refused {
				if r.mustSync(t); r.to.text(t, "k") != "after" {
					t.Error("it was not replaced")
				}
				return
			}
			refused(t, r.opts, "locked ("+c.there.String()+")")
			// Nothing in a plan that was made from the listings alone shows it: the copy looks too.
			err := applyBrief(t, r.opts)
			if !errors.Is(err, bucket.ErrUnsupported) || !strings.Contains(fmt.Sprint(err), "is locked") || r.to.text(t, "k") != "before" {
				t.Errorf("the copy ends with %v, and the destination has %q", err, r.to.text(t, "k"))
			}
		})
	}
}

// applyBrief makes the changes of a plan that looked at nothing, whatever is locked.
func applyBrief(t *testing.T, opts Options) error {
	t.Helper()
	opts = opts.withDefaults()
	e, err := newEngine(opts)
	if err != nil {
		t.Fatal(err)
	}
	p := plan.New(opts.Migration, opts.Stage)
	planned, err := e.survey(t.Context(), p, false)
	if err != nil {
		t.Fatal(err)
	}
	e.changes(p, planned, configuring{})
	_, err = Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
	return err
}

// A mirror leaves what a lock keeps, and says that it is extra.
func TestB16_WhatIsLockedIsNotDeleted(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		r := newRig(t)
		r.opts.DeleteForeign = true
		r.to.guards = bucket.Guards{Retention: true, Holds: true, KeepsLocked: keeps}
		r.to.write(t, "k", "x", locked(bucket.Lock{Hold: true}))
		var deleted int
		r.to.before = func(op, _ string) error {
			if op == "delete" {
				deleted++
				return bucket.ErrNotExist
			}
			return nil
		}
		result, err := r.sync(t)
		if !keeps && (err != nil || deleted != 0 || result.Extra != 1 || r.to.text(t, "k") != "x") {
			t.Errorf("%d deletes, %+v, %v", deleted, result, err)
		}
		if keeps && deleted != 1 { // it adds a marker
			t.Errorf("%d deletes where versions are kept", deleted)
		}
	}
}

func TestB16_KeysAreMappedOrRefused(t *testing.T) {
	r := newRig(t)
	under := func(key string) bucket.Properties {
		return bucket.Properties{Encryption: bucket.Encryption{Kind: bucket.ByService, Key: key}}
	}
	for i := range 3 {
		r.from.write(t, fmt.Sprintf("a%d", i), "x", under("arn:one"))
	}
	r.from.write(t, "b", "x", under("arn:two"))
	r.from.write(t, "c", "x")
	refused(t, r.opts, `b: "a0", "a1", "a2": encrypted under the key arn:one`, `b: "b": encrypted under the key arn:two`)
	r.opts.Keys = map[string]string{"arn:one": "green"}
	refused(t, r.opts, "arn:two")

	r.opts.Keys["arn:two"] = KeyProvider
	without := r.opts
	r.to.caps = func(c *bucket.Capabilities) { c.Keys = false }
	refused(t, without, "knows no keys")
	r.to.caps = nil

	result := r.mustSync(t)
	for key, want := range map[string]bucket.Encryption{"a1": {Kind: bucket.ByService, Key: "green"}, "b": {}, "c": {}} {
		o, err := r.to.Bucket.Head(t.Context(), key)
		if err != nil || o.Properties.Encryption != want {
			t.Errorf("%s: %+v, %v", key, o.Properties, err)
		}
	}
	if len(result.Losses) != 1 || result.Losses[0].Fate != Mapped || result.Losses[0].Objects != 4 {
		t.Errorf("%+v", result.Losses)
	}
}

// A store that names the key differently from how it was asked has used it all the same; one that used another has not.
func TestB16_AKeyIsFoundUnderItsLongerName(t *testing.T) {
	for got, want := range map[string]bool{
		"arn:aws:kms:eu-west-1:1:key/abc": true, "arn:aws:kms:abc": true, "abc": true, "abc/cryptoKeyVersions/3": true,
		"arn:aws:kms:eu-west-1:1:key/abd": false, "xabc": false, "": false,
	} {
		if is := (bucket.Encryption{Kind: bucket.ByService, Key: got}).Under("abc"); is != want {
			t.Errorf("%q: %v", got, is)
		}
	}
	r := newRig(t)
	r.opts.Keys = map[string]string{"blue": "green"}
	r.from.write(t, "k", "x", bucket.Properties{Encryption: bucket.Encryption{Kind: bucket.ByService, Key: "blue"}})
	r.to.stored = func(o *bucket.PutOptions, _ *[]byte) { o.Properties.Encryption.Key = "green/cryptoKeyVersions/3" }
	r.mustSync(t)
	r.from.write(t, "k", "y", bucket.Properties{Encryption: bucket.Encryption{Kind: bucket.ByService, Key: "blue"}})
	r.to.stored = func(o *bucket.PutOptions, _ *[]byte) { o.Properties.Encryption.Key = "another" }
	var kept *PropertyError
	if _, err := r.sync(t); !errors.As(err, &kept) || kept.Property != "encryption key" {
		t.Errorf("got %v", err)
	}
}

func TestB16_CustomersKeysAreRefused(t *testing.T) {
	r := newRig(t)
	r.from.write(t, "a", "x")
	r.from.write(t, "b", "x")
	r.from.before = func(op, key string) error {
		if key == "b" && (op == "head" || op == "open") {
			return fmt.Errorf("head: %w", bucket.ErrKeyNeeded)
		}
		return nil
	}
	refused(t, r.opts, `b: "b": it is encrypted under a key that every request must carry`)
	r.to.write(t, "b", "x") // nor where it would be compared
	refused(t, r.opts, `b: "b": it is encrypted under a key that every request must carry`)

	// One whose store tells its properties without the key, and not its bytes.
	if _, _, bad := (&engine{}).carryKey(bucket.Encryption{Kind: bucket.ByCustomer, Key: "sum"}); bad == nil || bad.why != keyNeededWords {
		t.Errorf("a key of a customer's that the store tells of: %v", bad)
	}
}

func TestB16_ArchivedObjectsAreCountedPricedAndRefused(t *testing.T) {
	r := newRig(t)
	r.from.caps = func(c *bucket.Capabilities) { c.Provider = "s3" }
	for i := range 1000 {
		r.from.write(t, fmt.Sprintf("k%04d", i), strings.Repeat("x", 1<<10))
	}
	for _, brief := range []bool{false, true} {
		r.opts.Brief = brief
		r.from.archived = &bucket.Archived{Class: "GLACIER", Offline: true}
		refused(t, r.opts, "in class GLACIER, and cannot be read until it is restored", "and 980 more")
		p, err := Plan(t.Context(), r.opts)
		if err != nil {
			t.Fatal(err)
		}
		noted(t, p, "restoring them costs standard 0.0500 USD (3 to 5 hours), bulk 0 USD")
		r.from.archived = &bucket.Archived{Class: "GLACIER", Offline: true, Restoring: true}
		refused(t, r.opts, "its restore is not done")

		// One that is restored, or of a class that is read at once, is read, and what that costs is said before.
		r.from.archived = &bucket.Archived{Class: "GLACIER_IR"}
		p = r.plan(t)
		planned, err := PlannedOf(p)
		if err != nil || len(planned.Archived) != 1 || planned.Archived[0].Objects != 1000 || planned.Archived[0].Bytes != 1000<<10 || planned.Archived[0].Offline {
			t.Fatalf("%+v, %v", planned.Archived, err)
		}
		if ways := planned.Archived[0].Retrieval; len(ways) != 1 || ways[0].Cost <= 0 || ways[0].Currency != "USD" || ways[0].Date == "" {
			t.Errorf("%+v", ways)
		}
		noted(t, p, "1000 objects, 1000.0 KiB, in class GLACIER_IR: reading them costs, beside the requests and the transfer, immediate less than 0.0001 USD; prices of ")
		r.from.archived = &bucket.Archived{Class: "FROZEN"}
		noted(t, r.plan(t), "no price of it is known")
	}
	excluded := r.opts
	r.from.archived = &bucket.Archived{Class: "GLACIER", Offline: true}
	excluded.Filter = Filter{Exclude: []string{"k*"}}
	if p, err := Plan(t.Context(), excluded); err != nil || p.Err() != nil {
		t.Errorf("what is left out is refused: %v %v", err, p.Err())
	}
}

func noted(t *testing.T, p *plan.Plan, text string) {
	t.Helper()
	for _, n := range p.Notes {
		if strings.Contains(n.Text, text) {
			return
		}
	}
	t.Errorf("no note says %q: %+v", text, p.Notes)
}

// A plan from the listings alone looks at every object all the same where a bucket locks or encrypts what it holds.
func TestB16_ABriefPlanLooksWhereABucketIsGuarded(t *testing.T) {
	for name, guards := range map[string]bucket.Guards{"locks": {Retention: true}, "key": {Key: "arn:one"}} {
		r := newRig(t)
		r.opts.Brief = true
		r.from.guards = guards
		r.from.write(t, "k", "x", bucket.Properties{Lock: bucket.Lock{Hold: true}, Encryption: bucket.Encryption{Kind: bucket.ByService, Key: "arn:one"}})
		t.Run(name, func(t *testing.T) { refused(t, r.opts, "arn:one") })
	}
	r := newRig(t)
	r.opts.Brief = true
	r.from.write(t, "k", "x")
	if r.plan(t); r.from.count("head") != 0 {
		t.Error("a brief plan of an ordinary bucket looks at objects")
	}
}

// keepingBucket remembers what it was made for.
type keepingBucket struct {
	*memory.Bucket
	made bucket.Keeping
}

func (k *keepingBucket) MakeKeeping(ctx context.Context, what bucket.Keeping) error {
	k.made = what
	return k.Make(ctx)
}

func (k *keepingBucket) Guards(context.Context) (bucket.Guards, error) {
	return bucket.Guards{Retention: k.made.Locks, Holds: k.made.Locks}, nil
}

// A missing destination is made to hold locks where the source does.
func TestB16_AMissingDestinationIsMadeForLocks(t *testing.T) {
	r := newRig(t)
	absent, err := memory.Open(t.Context(), memory.Options{Name: "absent", Absent: true, Guards: bucket.Guards{Retention: true, Holds: true}})
	if err != nil {
		t.Fatal(err)
	}
	to := &keepingBucket{Bucket: absent}
	r.opts.To, r.opts.Create = bucket.Sub(to, "below/"), true
	r.from.guards = bucket.Guards{Retention: true}
	r.from.write(t, "k", "x", locked(bucket.Lock{Mode: bucket.Compliance, Until: far(0)}))
	r.mustSync(t)
	if o, err := absent.Head(t.Context(), "below/k"); err != nil || o.Properties.Lock.Mode != bucket.Compliance || !to.made.Locks {
		t.Errorf("%+v %v, made for %+v", o.Properties, err, to.made)
	}

	// Where it cannot be, that is refused before it is made.
	plain, err := memory.Open(t.Context(), memory.Options{Name: "plain", Absent: true})
	if err != nil {
		t.Fatal(err)
	}
	r.opts.To, r.opts.Manifest = bucket.Sub(plain, "below/"), ""
	refused(t, r.opts, "locked, which the destination cannot hold")
}

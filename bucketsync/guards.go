package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Locks and keys (B16). An object's lock is written with the object, and never shorter than the source's; where the
// destination cannot hold it, that is a loss and has to be accepted. What is locked at the destination is not replaced by what is
// locked less. An object under a key of a key service is copied under the key that was named for that one, or not at all.

// misfit says why an object cannot be copied, and what mends it.
type misfit struct{ why, mend string }

// Error implements error.
func (m *misfit) Error() string { return m.why + " (" + m.mend + ")" }

// Unwrap says that trying again does not help.
func (m *misfit) Unwrap() error { return bucket.ErrUnsupported }

const (
	keyNeededWords = "it is encrypted under a key that every request must carry (SSE-C, CSEK), and only whoever wrote it has that"
	keyNeededMend  = "leave such objects out, and copy them with a tool that is given the key; or write them anew at the source without one"
)

// carry is what becomes of an object's properties at the destination.
func (e *engine) carry(ctx context.Context, src bucket.Properties) (bucket.Properties, []Entry, *misfit, error) {
	out, entries, problem := carry(src, e.fromCaps, e.toCaps)
	if problem != "" {
		return out, nil, &misfit{why: problem, mend: "change its metadata at the source, or choose another destination"}, nil
	}
	key, entry, bad := e.carryKey(src.Encryption)
	if bad != nil {
		return out, nil, bad, nil
	}
	out.Encryption = key
	entries = append(entries, entry...)
	lock, entry, bad, err := e.carryLock(ctx, src.Lock)
	if err != nil || bad != nil {
		return out, nil, bad, err
	}
	out.Lock = lock
	return out, append(entries, entry...), nil, nil
}

// carryKey finds the destination's key for an object. That of a key service is never chosen by anybody but the user.
func (e *engine) carryKey(src bucket.Encryption) (bucket.Encryption, []Entry, *misfit) {
	none := bucket.Encryption{}
	switch src.Kind {
	case bucket.ByService:
	case bucket.ByCustomer:
		return none, nil, &misfit{why: keyNeededWords, mend: keyNeededMend}
	default:
		return none, nil, nil
	}
	to, ok := e.opts.Keys[src.Key]
	switch {
	case !ok || to == "":
		return none, nil, &misfit{
			why:  fmt.Sprintf("encrypted under the key %s of a key service, and no key of the destination is named for it", src.Key),
			mend: fmt.Sprintf("name one: %s; %q in its stead leaves it to the destination's default", e.opts.said("kms of the bucket in the migration file", "--kms "+src.Key+"=KEY"), KeyProvider),
		}
	case to == KeyProvider:
		return none, []Entry{{Property: "encryption key", Fate: Mapped, Detail: src.Key + " is not used, the destination encrypts as it does by default"}}, nil
	case !e.toCaps.Keys:
		return none, nil, &misfit{
			why:  fmt.Sprintf("encrypted under the key %s of a key service, and %s knows no keys", src.Key, e.toCaps.Provider),
			mend: fmt.Sprintf("say %q for this key, or choose another destination", KeyProvider),
		}
	}
	entry := Entry{Property: "encryption key", Fate: Mapped, Detail: src.Key + " is " + to + " at the destination"}
	return bucket.Encryption{Kind: bucket.ByService, Key: to}, []Entry{entry}, nil
}

// carryLock finds what the destination holds of a lock.
func (e *engine) carryLock(ctx context.Context, src bucket.Lock) (bucket.Lock, []Entry, *misfit, error) {
	lock := src.At(e.opts.Clock.Now())
	var entries []Entry
	if src.Retains() && !lock.Retains() {
		entries = append(entries, Entry{Property: "lock", Fate: Mapped, Detail: src.String() + " has ended"})
	}
	if lock == (bucket.Lock{}) {
		return lock, entries, nil, nil
	}
	var guards bucket.Guards
	if e.toCaps.Locks {
		var err error
		if guards, err = e.destinationGuards(ctx); err != nil {
			return lock, nil, nil, err
		}
	}
	lost := bucket.Lock{}
	if lock.Retains() && !guards.Retention {
		lost.Mode, lost.Until, lock.Mode, lock.Until = lock.Mode, lock.Until, "", lost.Until
	}
	if lock.EventHold && !guards.EventHolds && guards.Holds {
		entries = append(entries, Entry{Property: "lock", Fate: Mapped, Detail: "an event-based hold is a legal hold at the destination: when it is released, no retention begins"})
		lock.EventHold, lock.Hold = false, true
	}
	if !guards.Holds {
		lost.Hold, lock.Hold = lock.Hold, false
	}
	if !guards.EventHolds {
		lost.EventHold, lock.EventHold = lock.EventHold, false
	}
	if lost == (bucket.Lock{}) {
		return lock, entries, nil, nil
	}
	if !e.opts.AcceptLostLocks {
		return lock, nil, &misfit{
			why:  "locked, which the destination cannot hold",
			mend: "choose or make a destination with object lock (S3, MinIO), object retention (Cloud Storage) or version-level immutability (Azure); or accept that the locks are lost: " + e.opts.said("locks: drop of the bucket in the migration file", "--accept-lost-locks"),
		}, nil
	}
	return lock, append(entries, Entry{Property: "lock", Fate: Lost, Detail: lost.String()}), nil, nil
}

// mayReplace refuses to write over what a lock keeps. This migration's own copy may be, where the locked one stays as an
// older version and the new one is kept as long: that is what the source did.
func (e *engine) mayReplace(ctx context.Context, lock bucket.Lock, base *bucket.Object, own bool) error {
	if !e.toCaps.Locks {
		return nil
	}
	guards, err := e.destinationGuards(ctx)
	if err != nil || !guards.Retention && !guards.Holds && !guards.EventHolds {
		return err
	}
	there, err := e.to.Head(ctx, base.Key)
	if errors.Is(err, bucket.ErrNotExist) || errors.Is(err, bucket.ErrKeyNeeded) {
		return nil // the write's condition decides
	}
	if err != nil {
		return fmt.Errorf("look at %q at the destination: %w", base.Key, err)
	}
	if there.Properties == nil {
		return nil
	}
	held := there.Properties.Lock.At(e.opts.Clock.Now())
	if held == (bucket.Lock{}) || e.version != "" && guards.KeepsLocked || own && guards.KeepsLocked && lock.Covers(held) {
		return nil
	}
	return &misfit{
		why:  "the destination's object is locked (" + held.String() + ") and is not replaced by one that is locked less",
		mend: "leave the object out, or let the lock end or lift it at the destination",
	}
}

// keptByLock reports whether a delete would have to break a lock: where versions are kept, it adds a marker and removes nothing.
func (e *engine) keptByLock(ctx context.Context, there bucket.Object) (bool, error) {
	if there.Properties == nil || there.Properties.Lock.At(e.opts.Clock.Now()) == (bucket.Lock{}) {
		return false, nil
	}
	guards, err := e.destinationGuards(ctx)
	return !guards.KeepsLocked, err
}

// guardsOnce remembers the destination's guards, which are asked for when the first lock or the first overwrite needs them.
type guardsOnce struct {
	mu     sync.Mutex
	known  bool
	guards bucket.Guards
}

func (e *engine) destinationGuards(ctx context.Context) (bucket.Guards, error) {
	e.guards.mu.Lock()
	defer e.guards.mu.Unlock()
	if e.guards.known {
		return e.guards.guards, nil
	}
	guards, err := e.askGuards(ctx)
	if err != nil {
		return guards, fmt.Errorf("find out which locks the destination holds: %w", err)
	}
	e.guards.known, e.guards.guards = true, guards
	return guards, nil
}

func (e *engine) askGuards(ctx context.Context) (guards bucket.Guards, err error) {
	if e.destinationMissing {
		keeping, err := e.keeping(ctx)
		if _, ok := bucket.KeeperOf(e.opts.To); !ok || err != nil || !keeping.Locks {
			return bucket.Guards{}, err
		}
		return bucket.Guards{Retention: true, Holds: true, EventHolds: e.fromCaps.Provider == e.toCaps.Provider}, nil
	}
	err = e.patience.do(ctx, "ask for locks", "", func() error {
		guards, err = bucket.GuardsOf(ctx, e.opts.To)
		return err
	})
	if errors.Is(err, bucket.ErrDenied) {
		// It does not say what it holds. A store that holds none refuses a lock when one is written.
		return bucket.Guards{Retention: true, Holds: true, EventHolds: true}, nil
	}
	return guards, err
}

// keeping is what a destination that is yet to be made has to be made for.
func (e *engine) keeping(ctx context.Context) (bucket.Keeping, error) {
	guards, err := e.sourceGuards(ctx)
	if errors.Is(err, bucket.ErrDenied) {
		return bucket.Keeping{Versions: e.opts.Versions}, nil // the locks of its objects are seen when they are looked at
	}
	if err != nil {
		return bucket.Keeping{}, fmt.Errorf("find out which locks the source holds: %w", err)
	}
	return bucket.Keeping{Locks: guards.Retention, Versions: e.opts.Versions}, nil
}

func (e *engine) sourceGuards(ctx context.Context) (guards bucket.Guards, err error) {
	err = e.patience.do(ctx, "ask for locks", "", func() error {
		guards, err = bucket.GuardsOf(ctx, e.opts.From)
		return err
	})
	return guards, err
}

// guarded reports whether one of the buckets locks or encrypts what it holds: then a plan looks at every object that is to be
// copied, also where it was to be made from the listings alone.
func (e *engine) guarded(ctx context.Context) bool {
	from, err := e.sourceGuards(ctx)
	if err == nil && (from.Retention || from.Key != "") {
		return true
	}
	if e.destinationMissing {
		return false
	}
	to, err := e.destinationGuards(ctx)
	return err == nil && to.Retention && to.KeepsLocked
}

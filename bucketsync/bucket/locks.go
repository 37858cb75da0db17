package bucket

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// LockMode says who may end a retention before its time.
type LockMode string

// Modes of retention. Each names what the providers call otherwise: S3 and MinIO governance and compliance, Cloud Storage
// Unlocked and Locked, Azure unlocked and locked.
const (
	// Governance may be lifted by whoever has the right to.
	Governance LockMode = "governance"
	// Compliance is lifted by nobody.
	Compliance LockMode = "compliance"
)

// Lock is what keeps an object from being deleted and from being written over. The zero value is none.
type Lock struct {
	// Mode and Until are those of the retention; both are empty where there is none.
	Mode  LockMode  `json:",omitempty"`
	Until time.Time `json:",omitzero"`
	// Hold is a hold without an end: a legal hold at S3, MinIO and Azure, a temporary hold at Cloud Storage.
	Hold bool `json:",omitempty"`
	// EventHold is Cloud Storage's event-based hold: when it is released, the bucket's retention begins.
	EventHold bool `json:",omitempty"`
}

// Retains reports whether there is a retention, ended or not.
func (l Lock) Retains() bool { return l.Mode != "" || !l.Until.IsZero() }

// At is what still holds at a time: a retention that has ended is none.
func (l Lock) At(now time.Time) Lock {
	if !l.Until.After(now) {
		l.Mode, l.Until = "", time.Time{}
	}
	return l
}

// Covers reports whether l keeps an object at least as long, and as strictly, as other does. Stores keep whole seconds.
func (l Lock) Covers(other Lock) bool {
	if (other.Hold || other.EventHold) && !l.Hold && !l.EventHold {
		return false
	}
	if !other.Retains() {
		return true
	}
	return l.Retains() && (l.Mode == Compliance || other.Mode != Compliance) && !l.Until.Before(other.Until.Truncate(time.Second))
}

// String names what there is, for people.
func (l Lock) String() string {
	var parts []string
	if l.Retains() {
		parts = append(parts, fmt.Sprintf("%s until %s", l.Mode, l.Until.UTC().Format(time.RFC3339)))
	}
	if l.Hold {
		parts = append(parts, "a hold")
	}
	if l.EventHold {
		parts = append(parts, "an event-based hold")
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, " and ")
}

// EncryptionKind says whose key an object is encrypted with.
type EncryptionKind string

// Kinds of encryption.
const (
	// ByProvider is encryption with the provider's own keys, or none: nobody has to keep anything for it.
	ByProvider EncryptionKind = ""
	// ByService is encryption under a key of a key service (KMS), or of an encryption scope at Azure.
	ByService EncryptionKind = "kms"
	// ByCustomer is encryption under a key that every request must carry (SSE-C, CSEK, CPK). Nobody else has it.
	ByCustomer EncryptionKind = "customer"
)

// Encryption is how an object is encrypted at rest.
type Encryption struct {
	Kind EncryptionKind `json:",omitempty"`
	// Key is the provider's name of the key: an ARN, a resource name, an encryption scope; of a customer's key a hash.
	Key string `json:",omitempty"`
}

// Under reports whether an object is encrypted under the key that a request named: stores answer with a longer name, with
// account and region before it or the key's version after it. An alias says nothing of the key behind it.
func (e Encryption) Under(key string) bool {
	if e.Kind != ByService {
		return false
	}
	return e.Key == key || strings.HasSuffix(e.Key, "/"+key) || strings.HasSuffix(e.Key, ":"+key) ||
		strings.HasPrefix(e.Key, key+"/cryptoKeyVersions/") || strings.HasPrefix(key, "alias/") || strings.Contains(key, ":alias/")
}

// Archived says that an object lies in a class whose reading costs more than its transfer, or has to wait.
type Archived struct {
	// Class is the provider's own word.
	Class string
	// Offline objects cannot be read until they are restored; Restoring says that this was asked for and is not done.
	Offline   bool
	Restoring bool
}

// Guards are what a bucket does to keep its objects: what can be set on each of them, and what it does by itself.
type Guards struct {
	// Retention, Holds and EventHolds can be set on an object.
	Retention, Holds, EventHolds bool
	// KeepsLocked says that a locked object can be written over: the locked one stays, as an older version.
	KeepsLocked bool
	// Key of a key service under which the bucket encrypts what is written without naming one; empty is the provider's own.
	Key string
}

// Guarded is the optional ability of a bucket to tell its guards.
type Guarded interface {
	Guards(ctx context.Context) (Guards, error)
}

// GuardsOf asks a bucket for its guards. One that cannot tell has none.
func GuardsOf(ctx context.Context, b Bucket) (Guards, error) {
	guarded, ok := b.(Guarded)
	if !ok {
		return Guards{}, nil
	}
	guards, err := guarded.Guards(ctx)
	if errors.Is(err, ErrUnsupported) {
		return Guards{}, nil
	}
	return guards, err
}

// Keeping is what a bucket is to be made for.
type Keeping struct {
	// Versions keeps what is written over or deleted.
	Versions bool
	// Locks lets objects be locked. Most stores decide that when the bucket is made, and need versions for it.
	Locks bool
}

// Keeper is the optional ability to make the bucket so that it keeps versions or holds locks. ErrUnsupported says that the
// store has no such buckets. Of a bucket that exists nothing is changed.
type Keeper interface {
	MakeKeeping(ctx context.Context, what Keeping) error
}

// KeeperOf finds the ability to make a bucket that keeps, also below a prefix of a bucket.
func KeeperOf(b Bucket) (Keeper, bool) {
	if s, ok := partOf(b); ok {
		if _, ok := KeeperOf(s.Bucket); !ok {
			return nil, false
		}
	}
	keeper, ok := b.(Keeper)
	return keeper, ok
}

package gcs

import (
	"context"
	"time"

	"cloud.google.com/go/storage"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Modes of a retention: https://cloud.google.com/storage/docs/object-lock.
const (
	modeUnlocked = "Unlocked"
	modeLocked   = "Locked"
)

// Guards implements bucket.Guarded. Every bucket takes holds, a retention of single objects only one that was made for it
// (https://cloud.google.com/storage/docs/object-lock). With versions, too, an object under either is not written over:
// https://cloud.google.com/storage/docs/object-holds.
func (b *Bucket) Guards(ctx context.Context) (bucket.Guards, error) {
	attrs, err := b.bucket.Attrs(ctx)
	if err != nil {
		return bucket.Guards{}, b.fail("ask for the retention", "", err)
	}
	guards := bucket.Guards{Retention: attrs.ObjectRetentionMode == "Enabled", Holds: true, EventHolds: true}
	if attrs.Encryption != nil {
		guards.Key = attrs.Encryption.DefaultKMSKeyName
	}
	return guards, nil
}

// MakeKeeping implements bucket.Keeper. Retention of objects can be had only from the beginning.
func (b *Bucket) MakeKeeping(ctx context.Context, what bucket.Keeping) error {
	handle := b.bucket
	if what.Locks {
		handle = handle.SetObjectRetention(true)
	}
	return b.create(ctx, handle, &storage.BucketAttrs{VersioningEnabled: what.Versions})
}

func lockOf(attrs *storage.ObjectAttrs) bucket.Lock {
	l := bucket.Lock{Hold: attrs.TemporaryHold, EventHold: attrs.EventBasedHold}
	if r := attrs.Retention; r != nil {
		l.Mode, l.Until = bucket.Governance, r.RetainUntil.UTC()
		if r.Mode == modeLocked {
			l.Mode = bucket.Compliance
		}
	}
	// The bucket's own retention counts too, whichever ends later; nobody can end it for one object.
	if until := attrs.RetentionExpirationTime.UTC(); until.After(l.Until) {
		l.Mode, l.Until = bucket.Compliance, until
	}
	return l
}

func encryptionOf(attrs *storage.ObjectAttrs) bucket.Encryption {
	switch {
	case attrs.CustomerKeySHA256 != "":
		return bucket.Encryption{Kind: bucket.ByCustomer, Key: attrs.CustomerKeySHA256}
	case attrs.KMSKeyName != "":
		return bucket.Encryption{Kind: bucket.ByService, Key: attrs.KMSKeyName}
	}
	return bucket.Encryption{}
}

// guard asks for a lock and for a key.
func guard(attrs *storage.ObjectAttrs, p bucket.Properties) {
	if p.Lock.Retains() {
		attrs.Retention = &storage.ObjectRetention{Mode: modeUnlocked, RetainUntil: p.Lock.Until.Add(time.Second - 1).Truncate(time.Second)}
		if p.Lock.Mode == bucket.Compliance {
			attrs.Retention.Mode = modeLocked
		}
	}
	attrs.TemporaryHold, attrs.EventBasedHold = p.Lock.Hold, p.Lock.EventHold
	if p.Encryption.Kind == bucket.ByService {
		attrs.KMSKeyName = p.Encryption.Key
	}
}

// archived: reading from any class but STANDARD costs by the byte, and never has to wait:
// https://cloud.google.com/storage/docs/storage-classes.
func archived(class string) *bucket.Archived {
	switch class {
	case "NEARLINE", "COLDLINE", "ARCHIVE":
		return &bucket.Archived{Class: class}
	}
	return nil
}

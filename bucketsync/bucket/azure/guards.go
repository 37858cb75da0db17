package azure

import (
	"context"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Guards implements bucket.Guarded. Blobs can be locked one by one where the container was made with version-level
// immutability: https://learn.microsoft.com/azure/storage/blobs/immutable-version-level-worm-policies. That is done with the
// account's management interface, not with that of its blobs, so that this driver makes no such containers.
func (b *Bucket) Guards(ctx context.Context) (bucket.Guards, error) {
	c, err := b.client.GetProperties(ctx, nil)
	if err != nil {
		return bucket.Guards{}, b.fail("ask for the immutability", "", err)
	}
	on := value(c.IsImmutableStorageWithVersioningEnabled)
	guards := bucket.Guards{Retention: on, Holds: on, KeepsLocked: on}
	if scope := value(c.DefaultEncryptionScope); scope != accountScope {
		guards.Key = scope
	}
	return guards, nil
}

// accountScope is the scope that every container has where no other was chosen: the account's own key.
const accountScope = "$account-encryption-key"

func lockOf(head blob.GetPropertiesResponse) bucket.Lock {
	l := bucket.Lock{Hold: value(head.LegalHold)}
	switch mode := string(value(head.ImmutabilityPolicyMode)); {
	case strings.EqualFold(mode, string(blob.ImmutabilityPolicySettingLocked)):
		l.Mode = bucket.Compliance
	case strings.EqualFold(mode, string(blob.ImmutabilityPolicySettingUnlocked)):
		l.Mode = bucket.Governance
	default:
		return l
	}
	l.Until = value(head.ImmutabilityPolicyExpiresOn).UTC()
	return l
}

func encryptionOf(head blob.GetPropertiesResponse) bucket.Encryption {
	if sum := value(head.EncryptionKeySHA256); sum != "" {
		return bucket.Encryption{Kind: bucket.ByCustomer, Key: sum}
	}
	if scope := value(head.EncryptionScope); scope != "" && scope != accountScope {
		return bucket.Encryption{Kind: bucket.ByService, Key: scope}
	}
	return bucket.Encryption{}
}

func (w *write) retention() *blob.ImmutabilityPolicySetting {
	mode := blob.ImmutabilityPolicySettingUnlocked
	switch w.opts.Properties.Lock.Mode {
	case bucket.Compliance:
		mode = blob.ImmutabilityPolicySettingLocked
	case bucket.Governance:
	default:
		return nil
	}
	return &mode
}

// until rounds up: a lock is never shortened.
func (w *write) until() *time.Time {
	if !w.opts.Properties.Lock.Retains() {
		return nil
	}
	whole := w.opts.Properties.Lock.Until.Add(time.Second - 1).Truncate(time.Second)
	return &whole
}

func (w *write) hold() *bool {
	if l := w.opts.Properties.Lock; !l.Hold && !l.EventHold {
		return nil
	}
	on := true
	return &on
}

func (w *write) scope() *blob.CPKScopeInfo {
	e := w.opts.Properties.Encryption
	if e.Kind != bucket.ByService {
		return nil
	}
	return &blob.CPKScopeInfo{EncryptionScope: &e.Key}
}

// archived: reading from the cool tiers costs by the byte, and from Archive only after rehydration:
// https://learn.microsoft.com/azure/storage/blobs/access-tiers-overview. A blob that is being rehydrated is still in Archive.
func archived(tier, status string) *bucket.Archived {
	switch blob.AccessTier(tier) {
	case blob.AccessTierArchive:
		return &bucket.Archived{Class: tier, Offline: true, Restoring: status != ""}
	case blob.AccessTierCool, blob.AccessTierCold:
		return &bucket.Archived{Class: tier}
	}
	return nil
}

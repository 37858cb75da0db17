package gcs

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/storage"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Configure implements bucket.Configurer. It needs storage.buckets.update, and storage.buckets.setIamPolicy for the policy:
// https://cloud.google.com/storage/docs/access-control/iam-permissions.
func (b *Bucket) Configure(ctx context.Context, part bucket.Part, c bucket.Configuration) error {
	if !c.Has(part) {
		return nil
	}
	var update storage.BucketAttrsToUpdate
	switch part {
	case bucket.PartPublicAccess:
		if c.PublicAccess.All() {
			update.PublicAccessPrevention = storage.PublicAccessPreventionEnforced
		}
		if c.PublicAccess.NoACLs {
			update.UniformBucketLevelAccess = &storage.UniformBucketLevelAccess{Enabled: true}
		}
	case bucket.PartEncryption:
		if c.Encryption.Algorithm == bucket.EncryptedByProvider {
			return nil // it cannot be otherwise: https://cloud.google.com/storage/docs/encryption/default-keys
		}
		update.Encryption = &storage.BucketEncryption{DefaultKMSKeyName: c.Encryption.Key}
	case bucket.PartVersioning:
		update.VersioningEnabled = c.Versioning.State == bucket.VersioningEnabled
	case bucket.PartLock:
		if !c.Lock.Bucket {
			return bucket.Wrap("configure lock", b.url, "", bucket.ErrUnsupported, fmt.Errorf("retention of objects is chosen when a bucket is made"))
		}
		// The policy is never locked from here: that cannot be taken back.
		update.RetentionPolicy = &storage.RetentionPolicy{RetentionPeriod: c.Lock.Period}
	case bucket.PartClass:
		update.StorageClass = c.Class
	case bucket.PartPolicy:
		return b.configurePolicy(ctx, *c.Policy)
	case bucket.PartTags:
		for _, key := range slices.Sorted(maps.Keys(c.Tags)) {
			update.SetLabel(key, c.Tags[key])
		}
	case bucket.PartCORS:
		for _, r := range c.CORS {
			headers := slices.Compact(slices.Sorted(slices.Values(slices.Concat(r.RequestHeaders, r.ExposedHeaders))))
			update.CORS = append(update.CORS, storage.CORS{Origins: r.Origins, Methods: r.Methods, ResponseHeaders: headers, MaxAge: time.Duration(r.MaxAge) * time.Second})
		}
	case bucket.PartLifecycle:
		update.Lifecycle = &storage.Lifecycle{}
		for _, rule := range c.Lifecycle {
			update.Lifecycle.Rules = append(update.Lifecycle.Rules, storageRules(rule)...)
		}
	default:
		return bucket.Wrap("configure "+string(part), b.url, "", bucket.ErrUnsupported, nil)
	}
	_, err := b.bucket.Update(ctx, update)
	return b.fail("configure "+string(part), "", err)
}

// configurePolicy adds bindings to those that a new bucket has from its project. It writes over the policy as it was read only:
// its ETag says so.
func (b *Bucket) configurePolicy(ctx context.Context, p bucket.Policy) error {
	if p.Dialect != bucket.DialectGCS {
		return bucket.Wrap("configure policy", b.url, "", bucket.ErrUnsupported, fmt.Errorf("a policy in the words of %s", p.Dialect))
	}
	var bindings []*iampb.Binding
	if err := json.Unmarshal(p.Document, &bindings); err != nil {
		return fmt.Errorf("configure policy of %s: read it: %w", b.url, err)
	}
	handle := b.bucket.IAM().V3()
	now, err := handle.Policy(ctx)
	if err != nil {
		return b.fail("read the policy", "", err)
	}
	for _, binding := range bindings {
		if !slices.ContainsFunc(now.Bindings, func(has *iampb.Binding) bool { return sameBinding(has, binding) }) {
			now.Bindings = append(now.Bindings, binding)
		}
	}
	return b.fail("configure policy", "", handle.SetPolicy(ctx, now))
}

func sameBinding(a, b *iampb.Binding) bool {
	return a.GetRole() == b.GetRole() && a.GetCondition().GetExpression() == b.GetCondition().GetExpression() &&
		slices.Equal(slices.Sorted(slices.Values(a.GetMembers())), slices.Sorted(slices.Values(b.GetMembers())))
}

package minio

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/cors"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
	"github.com/minio/minio-go/v7/pkg/sse"
	"github.com/minio/minio-go/v7/pkg/tags"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Configure implements bucket.Configurer.
func (b *Bucket) Configure(ctx context.Context, part bucket.Part, c bucket.Configuration) error {
	if !c.Has(part) {
		return nil
	}
	var err error
	name := b.opts.Bucket
	switch part {
	case bucket.PartEncryption:
		by := sse.NewConfigurationSSES3()
		if c.Encryption.Algorithm == bucket.EncryptedByKey {
			by = sse.NewConfigurationSSEKMS(c.Encryption.Key)
		}
		err = b.client.SetBucketEncryption(ctx, name, by)
	case bucket.PartVersioning:
		if c.Versioning.State == bucket.VersioningEnabled {
			err = b.client.EnableVersioning(ctx, name)
		} else {
			err = b.client.SuspendVersioning(ctx, name)
		}
	case bucket.PartLock:
		err = b.configureLock(ctx, *c.Lock)
	case bucket.PartPolicy:
		if c.Policy.Dialect != bucket.DialectS3 {
			return bucket.Wrap("configure policy", b.url, "", bucket.ErrUnsupported, fmt.Errorf("a policy in the words of %s", c.Policy.Dialect))
		}
		err = b.client.SetBucketPolicy(ctx, name, string(c.Policy.Document))
	case bucket.PartTags:
		set, terr := tags.MapToBucketTags(c.Tags)
		if terr != nil {
			return bucket.Wrap("configure tags", b.url, "", bucket.ErrUnsupported, terr)
		}
		err = b.client.SetBucketTagging(ctx, name, set)
	case bucket.PartCORS:
		conf := cors.NewConfig(nil)
		for _, r := range c.CORS {
			conf.CORSRules = append(conf.CORSRules, cors.Rule{
				ID: r.ID, AllowedOrigin: r.Origins, AllowedMethod: r.Methods, AllowedHeader: r.RequestHeaders, ExposeHeader: r.ExposedHeaders, MaxAgeSeconds: r.MaxAge,
			})
		}
		err = b.client.SetBucketCors(ctx, name, conf)
	case bucket.PartLifecycle:
		conf := lifecycle.NewConfiguration()
		for i, r := range c.Lifecycle {
			conf.Rules = append(conf.Rules, serverRule(r, i))
		}
		err = b.client.SetBucketLifecycle(ctx, name, conf)
	default:
		err = fmt.Errorf("%s: %w", part, bucket.ErrUnsupported)
	}
	return b.fail("configure "+string(part), "", err)
}

// configureLock sets what objects get that are written without retention. That objects can be locked at all was chosen when the
// bucket was made.
func (b *Bucket) configureLock(ctx context.Context, l bucket.Retention) error {
	if l.Bucket {
		return fmt.Errorf("a retention policy of a whole bucket: %w", bucket.ErrUnsupported)
	}
	if l.Mode == "" {
		return b.client.SetObjectLockConfig(ctx, b.opts.Bucket, nil, nil, nil)
	}
	mode, unit, validity := minio.RetentionMode(l.Mode), minio.Days, uint(max(l.Days, 0))
	if l.Years > 0 {
		unit, validity = minio.Years, uint(l.Years)
	}
	return b.client.SetObjectLockConfig(ctx, b.opts.Bucket, &mode, &validity, &unit)
}

// serverRule says a rule in the words of the server, which gives none an ID by itself.
func serverRule(r bucket.LifecycleRule, i int) lifecycle.Rule {
	out := lifecycle.Rule{ID: r.ID, Status: "Enabled", RuleFilter: serverFilter(r)}
	if out.ID == "" {
		out.ID = fmt.Sprintf("rule-%d", i+1)
	}
	if r.Disabled {
		out.Status = "Disabled"
	}
	if r.Expire != nil {
		out.Expiration.Days, out.Expiration.Date = lifecycle.ExpirationDays(r.Expire.Days), lifecycle.ExpirationDate{Time: r.Expire.Date}
	}
	out.Expiration.DeleteMarker = lifecycle.ExpireDeleteMarker(r.RemoveMarkers)
	if len(r.Transitions) > 0 {
		t := r.Transitions[0]
		out.Transition = lifecycle.Transition{Days: lifecycle.ExpirationDays(t.Days), Date: lifecycle.ExpirationDate{Time: t.Date}, StorageClass: t.Class}
	}
	if n := r.ExpireNoncurrent; n != nil {
		out.NoncurrentVersionExpiration = lifecycle.NoncurrentVersionExpiration{NoncurrentDays: lifecycle.ExpirationDays(n.Days), NewerNoncurrentVersions: n.Keep}
	}
	if len(r.NoncurrentTransitions) > 0 {
		n := r.NoncurrentTransitions[0]
		out.NoncurrentVersionTransition = lifecycle.NoncurrentVersionTransition{
			NoncurrentDays: lifecycle.ExpirationDays(n.Days), NewerNoncurrentVersions: n.Keep, StorageClass: n.Class,
		}
	}
	return out
}

func serverFilter(r bucket.LifecycleRule) lifecycle.Filter {
	var list []lifecycle.Tag
	for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
		list = append(list, lifecycle.Tag{Key: key, Value: r.Tags[key]})
	}
	prefix := ""
	if len(r.Prefixes) > 0 {
		prefix = r.Prefixes[0]
	}
	if len(list) == 0 && r.LargerThan == 0 && r.SmallerThan == 0 {
		return lifecycle.Filter{Prefix: prefix}
	}
	return lifecycle.Filter{And: lifecycle.And{Prefix: prefix, Tags: list, ObjectSizeLessThan: r.SmallerThan, ObjectSizeGreaterThan: r.LargerThan}}
}

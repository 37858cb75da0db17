package s3

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Configure implements bucket.Configurer. It needs the rights s3:PutBucketPolicy, s3:PutLifecycleConfiguration, s3:PutBucketCORS,
// s3:PutBucketVersioning, s3:PutEncryptionConfiguration, s3:PutBucketTagging, s3:PutBucketPublicAccessBlock,
// s3:PutBucketOwnershipControls and s3:PutBucketObjectLockConfiguration, each for its part:
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html.
func (b *Bucket) Configure(ctx context.Context, part bucket.Part, c bucket.Configuration) error {
	if !c.Has(part) {
		return nil
	}
	var err error
	name := &b.opts.Bucket
	switch part {
	case bucket.PartPublicAccess:
		err = b.configurePublicAccess(ctx, *c.PublicAccess)
	case bucket.PartEncryption:
		err = b.configureEncryption(ctx, *c.Encryption)
	case bucket.PartVersioning:
		state := types.BucketVersioningStatusEnabled
		if c.Versioning.State == bucket.VersioningSuspended {
			state = types.BucketVersioningStatusSuspended
		}
		_, err = b.client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: name, VersioningConfiguration: &types.VersioningConfiguration{Status: state}})
	case bucket.PartLock:
		err = b.configureLock(ctx, *c.Lock)
	case bucket.PartPolicy:
		if c.Policy.Dialect != bucket.DialectS3 {
			return bucket.Wrap("configure", b.url, "", bucket.ErrUnsupported, fmt.Errorf("a policy in the words of %s", c.Policy.Dialect))
		}
		_, err = b.client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: name, Policy: aws.String(string(c.Policy.Document))})
	case bucket.PartTags:
		_, err = b.client.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: name, Tagging: &types.Tagging{TagSet: tagSet(c.Tags)}})
	case bucket.PartCORS:
		_, err = b.client.PutBucketCors(ctx, &s3.PutBucketCorsInput{Bucket: name, CORSConfiguration: &types.CORSConfiguration{CORSRules: corsRules(c.CORS)}})
	case bucket.PartLifecycle:
		in := &s3.PutBucketLifecycleConfigurationInput{Bucket: name, LifecycleConfiguration: &types.BucketLifecycleConfiguration{}}
		for _, rule := range c.Lifecycle {
			in.LifecycleConfiguration.Rules = append(in.LifecycleConfiguration.Rules, lifecycleRule(rule))
		}
		_, err = b.client.PutBucketLifecycleConfiguration(ctx, in)
	default:
		err = fmt.Errorf("%s: %w", part, bucket.ErrUnsupported)
	}
	return b.fail("configure "+string(part), "", err)
}

// configurePublicAccess writes the switches, then who owns objects. A server without the second has no lists to switch off.
func (b *Bucket) configurePublicAccess(ctx context.Context, p bucket.PublicAccess) error {
	_, err := b.client.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{
		Bucket: &b.opts.Bucket, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
			BlockPublicAcls: &p.BlockACLs, IgnorePublicAcls: &p.IgnoreACLs, BlockPublicPolicy: &p.BlockPolicy, RestrictPublicBuckets: &p.RestrictBuckets,
		},
	})
	if err != nil || !p.NoACLs {
		return err
	}
	_, err = b.client.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{
		Bucket:            &b.opts.Bucket,
		OwnershipControls: &types.OwnershipControls{Rules: []types.OwnershipControlsRule{{ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced}}},
	})
	if errors.Is(kind(err), bucket.ErrUnsupported) {
		return nil
	}
	return err
}

func (b *Bucket) configureEncryption(ctx context.Context, e bucket.DefaultEncryption) error {
	by := &types.ServerSideEncryptionByDefault{}
	switch e.Algorithm {
	case bucket.EncryptedByProvider:
		by.SSEAlgorithm = types.ServerSideEncryptionAes256
	case bucket.EncryptedByKey:
		by.SSEAlgorithm = types.ServerSideEncryptionAwsKms
	case bucket.EncryptedTwice:
		by.SSEAlgorithm = types.ServerSideEncryptionAwsKmsDsse
	default:
		return fmt.Errorf("encryption %s: %w", e.Algorithm, bucket.ErrUnsupported)
	}
	rule := types.ServerSideEncryptionRule{ApplyServerSideEncryptionByDefault: by}
	if e.Key != "" {
		by.KMSMasterKeyID = &e.Key
	}
	if e.BucketKey {
		rule.BucketKeyEnabled = &e.BucketKey
	}
	_, err := b.client.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{
		Bucket: &b.opts.Bucket, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{rule}},
	})
	return err
}

func (b *Bucket) configureLock(ctx context.Context, l bucket.Retention) error {
	if l.Bucket {
		return fmt.Errorf("a retention policy of a whole bucket: %w", bucket.ErrUnsupported)
	}
	in := &types.ObjectLockConfiguration{ObjectLockEnabled: types.ObjectLockEnabledEnabled}
	if l.Mode != "" {
		in.Rule = &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{
			Mode: types.ObjectLockRetentionMode(l.Mode), Days: number(l.Days), Years: number(l.Years),
		}}
	}
	_, err := b.client.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{Bucket: &b.opts.Bucket, ObjectLockConfiguration: in})
	return err
}

func corsRules(rules []bucket.CORSRule) []types.CORSRule {
	var out []types.CORSRule
	for _, r := range rules {
		rule := types.CORSRule{
			AllowedOrigins: r.Origins, AllowedMethods: r.Methods, AllowedHeaders: r.RequestHeaders, ExposeHeaders: r.ExposedHeaders, MaxAgeSeconds: number(r.MaxAge),
		}
		if r.ID != "" {
			rule.ID = aws.String(r.ID)
		}
		out = append(out, rule)
	}
	return out
}

func tagSet(tags map[string]string) []types.Tag {
	var out []types.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, types.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
	return out
}

// number is nil for zero: S3 tells "not set" from "0".
func number(n int) *int32 {
	if n == 0 {
		return nil
	}
	return aws.Int32(int32(n)) //nolint:gosec // days, versions and seconds that S3 gave, or that the mapping bounds
}

func sizeOf(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

func whenOf(w bucket.When) (days *int32, date *time.Time) {
	if !w.Date.IsZero() {
		return nil, &w.Date
	}
	return number(w.Days), nil
}

package minio

import (
	"context"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/parts"
)

var _ interface {
	bucket.Configured
	bucket.Configurer
} = (*Bucket)(nil)

type fill = func(*bucket.Configuration)

// Configuration implements bucket.Configured. MinIO has no public-access block, website, logging or storage classes of a
// bucket. The rights are those of S3, such as s3:GetBucketPolicy and s3:GetLifecycleConfiguration:
// https://min.io/docs/minio/linux/administration/identity-access-management/policy-based-access-control.html.
func (b *Bucket) Configuration(ctx context.Context) (bucket.Configuration, error) {
	readers := []parts.Reader{
		{Part: bucket.PartEncryption, Read: b.encryption}, {Part: bucket.PartVersioning, Read: b.versioning},
		{Part: bucket.PartLock, Read: b.lock}, {Part: bucket.PartPolicy, Read: b.policy}, {Part: bucket.PartTags, Read: b.tagging},
		{Part: bucket.PartCORS, Read: b.cors}, {Part: bucket.PartLifecycle, Read: b.lifecycle},
		{Part: bucket.PartNotification, Read: b.notification}, {Part: bucket.PartReplication, Read: b.replication},
	}
	return parts.Read(ctx, readers, func(err error) error { return b.fail("read the configuration", "", err) })
}

// absent turns the error by which the server says that a part is not set into none. Any other is no evidence (I8).
func absent(err error) error {
	switch minio.ToErrorResponse(err).Code {
	case "NoSuchBucketPolicy", "NoSuchLifecycleConfiguration", "NoSuchCORSConfiguration", "ServerSideEncryptionConfigurationNotFoundError",
		"NoSuchTagSet", "ObjectLockConfigurationNotFoundError", "ReplicationConfigurationNotFoundError":
		return nil
	}
	return err
}

func (b *Bucket) encryption(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketEncryption(ctx, b.opts.Bucket)
	if err != nil || len(out.Rules) == 0 {
		return nil, absent(err)
	}
	e := &bucket.DefaultEncryption{Algorithm: bucket.EncryptedByProvider, Key: out.Rules[0].Apply.KmsMasterKeyID}
	if out.Rules[0].Apply.SSEAlgorithm == "aws:kms" {
		e.Algorithm = bucket.EncryptedByKey
	}
	return func(c *bucket.Configuration) { c.Encryption = e }, nil
}

func (b *Bucket) versioning(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketVersioning(ctx, b.opts.Bucket)
	if err != nil || out.Status == "" {
		return nil, err
	}
	v := &bucket.Versioning{State: bucket.VersioningSuspended}
	if out.Enabled() {
		v.State = bucket.VersioningEnabled
	}
	var left []string
	for _, p := range out.ExcludedPrefixes {
		left = append(left, p.Prefix)
	}
	return func(c *bucket.Configuration) {
		c.Versioning = v
		if len(left) > 0 {
			c.Note("versioning leaves out", strings.Join(left, ", "))
		}
		if out.ExcludeFolders {
			c.Note("versioning leaves out folders", "on")
		}
	}, nil
}

func (b *Bucket) lock(ctx context.Context) (fill, error) {
	enabled, mode, validity, unit, err := b.client.GetObjectLockConfig(ctx, b.opts.Bucket)
	if err != nil {
		return nil, absent(err)
	}
	l := &bucket.Retention{Enabled: enabled == "Enabled"}
	if mode != nil && validity != nil && unit != nil {
		l.Mode = string(*mode)
		if *unit == minio.Years {
			l.Years = int(*validity) //nolint:gosec // years of a retention
		} else {
			l.Days = int(*validity) //nolint:gosec // days of a retention
		}
	}
	return func(c *bucket.Configuration) { c.Lock = l }, nil
}

func (b *Bucket) policy(ctx context.Context) (fill, error) {
	text, err := b.client.GetBucketPolicy(ctx, b.opts.Bucket)
	if err != nil || text == "" {
		return nil, absent(err)
	}
	p, err := bucket.ParseS3Policy([]byte(text))
	if err != nil {
		return nil, err
	}
	return func(c *bucket.Configuration) { c.Policy = p }, nil
}

func (b *Bucket) tagging(ctx context.Context) (fill, error) {
	tags, err := b.client.GetBucketTagging(ctx, b.opts.Bucket)
	if err != nil {
		return nil, absent(err)
	}
	return func(c *bucket.Configuration) { c.Tags = tags.ToMap() }, nil
}

func (b *Bucket) cors(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketCors(ctx, b.opts.Bucket)
	if err != nil || out == nil {
		return nil, absent(err)
	}
	var rules []bucket.CORSRule
	for _, r := range out.CORSRules {
		rules = append(rules, bucket.CORSRule{
			ID: r.ID, Origins: r.AllowedOrigin, Methods: r.AllowedMethod, RequestHeaders: r.AllowedHeader, ExposedHeaders: r.ExposeHeader, MaxAge: r.MaxAgeSeconds,
		})
	}
	return func(c *bucket.Configuration) { c.CORS = rules }, nil
}

func (b *Bucket) lifecycle(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketLifecycle(ctx, b.opts.Bucket)
	if err != nil {
		return nil, absent(err)
	}
	var rules []bucket.LifecycleRule
	for _, r := range out.Rules {
		rules = append(rules, neutralRule(r))
	}
	return func(c *bucket.Configuration) { c.Lifecycle = rules }, nil
}

func neutralRule(r lifecycle.Rule) bucket.LifecycleRule {
	out := bucket.LifecycleRule{ID: r.ID, Disabled: r.Status != "Enabled", RemoveMarkers: bool(r.Expiration.DeleteMarker)}
	f := r.RuleFilter
	if prefix := r.Prefix + f.Prefix + f.And.Prefix; prefix != "" {
		out.Prefixes = []string{prefix}
	}
	out.LargerThan, out.SmallerThan = f.ObjectSizeGreaterThan+f.And.ObjectSizeGreaterThan, f.ObjectSizeLessThan+f.And.ObjectSizeLessThan
	tags := f.And.Tags
	if !f.Tag.IsEmpty() {
		tags = append(tags, f.Tag)
	}
	for _, tag := range tags {
		if out.Tags == nil {
			out.Tags = map[string]string{}
		}
		out.Tags[tag.Key] = tag.Value
	}
	if e := r.Expiration; e.Days > 0 || !e.Date.IsZero() {
		out.Expire = &bucket.When{Days: int(e.Days), Date: e.Date.Time}
	}
	if !r.Transition.IsNull() {
		out.Transitions = []bucket.Transition{{When: bucket.When{Days: int(r.Transition.Days), Date: r.Transition.Date.Time}, Class: r.Transition.StorageClass}}
	}
	if n := r.NoncurrentVersionExpiration; n.NoncurrentDays > 0 || n.NewerNoncurrentVersions > 0 {
		out.ExpireNoncurrent = &bucket.Noncurrent{Days: int(n.NoncurrentDays), Keep: n.NewerNoncurrentVersions}
	}
	if n := r.NoncurrentVersionTransition; n.StorageClass != "" {
		out.NoncurrentTransitions = []bucket.NoncurrentTransition{{
			Noncurrent: bucket.Noncurrent{Days: int(n.NoncurrentDays), Keep: n.NewerNoncurrentVersions}, Class: n.StorageClass,
		}}
	}
	out.AbortUploads = int(r.AbortIncompleteMultipartUpload.DaysAfterInitiation)
	other := map[string]string{}
	if r.Expiration.DeleteAll {
		other["all versions expire"] = "with the current one"
	}
	if r.AllVersionsExpiration.Days > 0 {
		other["all versions expire"] = fmt.Sprintf("after %d days", r.AllVersionsExpiration.Days)
	}
	if r.DelMarkerExpiration.Days > 0 {
		other["delete markers expire"] = fmt.Sprintf("after %d days", r.DelMarkerExpiration.Days)
	}
	if len(other) > 0 {
		out.Other = other
	}
	return out
}

func (b *Bucket) notification(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketNotification(ctx, b.opts.Bucket)
	if err != nil {
		return nil, err
	}
	var to []string
	for _, n := range out.QueueConfigs {
		to = append(to, fmt.Sprintf("%v to queue %s", n.Events, n.Queue))
	}
	for _, n := range out.TopicConfigs {
		to = append(to, fmt.Sprintf("%v to topic %s", n.Events, n.Topic))
	}
	for _, n := range out.LambdaConfigs {
		to = append(to, fmt.Sprintf("%v to function %s", n.Events, n.Lambda))
	}
	return func(c *bucket.Configuration) { c.Notification = to }, nil
}

func (b *Bucket) replication(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketReplication(ctx, b.opts.Bucket)
	if err != nil {
		return nil, absent(err)
	}
	var rules []string
	for _, r := range out.Rules {
		rules = append(rules, fmt.Sprintf("to %s, %s", r.Destination.Bucket, strings.ToLower(string(r.Status))))
	}
	return func(c *bucket.Configuration) { c.Replication = rules }, nil
}

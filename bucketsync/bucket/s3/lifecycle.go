package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// The elements of a lifecycle are described at https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html.

func (b *Bucket) lifecycle(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &b.opts.Bucket})
	if err != nil {
		return nil, absent(err)
	}
	var rules []bucket.LifecycleRule
	for _, r := range out.Rules {
		rules = append(rules, neutralRule(r))
	}
	return func(c *bucket.Configuration) {
		c.Lifecycle = rules
		if out.TransitionDefaultMinimumObjectSize == types.TransitionDefaultMinimumObjectSizeVariesByStorageClass {
			c.Note("least size of a transition", "it varies by storage class")
		}
	}, nil
}

func neutralRule(r types.LifecycleRule) bucket.LifecycleRule {
	out := bucket.LifecycleRule{ID: aws.ToString(r.ID), Disabled: r.Status != types.ExpirationStatusEnabled}
	prefix := aws.ToString(r.Prefix) //nolint:staticcheck // buckets still have rules in the old form
	if f := r.Filter; f != nil {
		prefix += aws.ToString(f.Prefix)
		out.LargerThan, out.SmallerThan = aws.ToInt64(f.ObjectSizeGreaterThan), aws.ToInt64(f.ObjectSizeLessThan)
		tags := []types.Tag{}
		if f.Tag != nil {
			tags = append(tags, *f.Tag)
		}
		if f.And != nil {
			prefix += aws.ToString(f.And.Prefix)
			out.LargerThan, out.SmallerThan = aws.ToInt64(f.And.ObjectSizeGreaterThan), aws.ToInt64(f.And.ObjectSizeLessThan)
			tags = append(tags, f.And.Tags...)
		}
		for _, tag := range tags {
			if out.Tags == nil {
				out.Tags = map[string]string{}
			}
			out.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
	}
	if prefix != "" {
		out.Prefixes = []string{prefix}
	}
	if e := r.Expiration; e != nil {
		if e.Days != nil || e.Date != nil {
			out.Expire = &bucket.When{Days: int(aws.ToInt32(e.Days)), Date: aws.ToTime(e.Date)}
		}
		out.RemoveMarkers = aws.ToBool(e.ExpiredObjectDeleteMarker)
	}
	for _, t := range r.Transitions {
		out.Transitions = append(out.Transitions, bucket.Transition{
			When: bucket.When{Days: int(aws.ToInt32(t.Days)), Date: aws.ToTime(t.Date)}, Class: string(t.StorageClass),
		})
	}
	if n := r.NoncurrentVersionExpiration; n != nil {
		out.ExpireNoncurrent = &bucket.Noncurrent{Days: int(aws.ToInt32(n.NoncurrentDays)), Keep: int(aws.ToInt32(n.NewerNoncurrentVersions))}
	}
	for _, n := range r.NoncurrentVersionTransitions {
		out.NoncurrentTransitions = append(out.NoncurrentTransitions, bucket.NoncurrentTransition{
			Noncurrent: bucket.Noncurrent{Days: int(aws.ToInt32(n.NoncurrentDays)), Keep: int(aws.ToInt32(n.NewerNoncurrentVersions))},
			Class:      string(n.StorageClass),
		})
	}
	if a := r.AbortIncompleteMultipartUpload; a != nil {
		out.AbortUploads = int(aws.ToInt32(a.DaysAfterInitiation))
	}
	return out
}

func lifecycleRule(r bucket.LifecycleRule) types.LifecycleRule {
	out := types.LifecycleRule{Status: types.ExpirationStatusEnabled, Filter: lifecycleFilter(r)}
	if r.Disabled {
		out.Status = types.ExpirationStatusDisabled
	}
	if r.ID != "" {
		out.ID = aws.String(r.ID)
	}
	if r.Expire != nil || r.RemoveMarkers {
		out.Expiration = &types.LifecycleExpiration{}
		if r.Expire != nil {
			out.Expiration.Days, out.Expiration.Date = whenOf(*r.Expire)
		}
		if r.RemoveMarkers {
			out.Expiration.ExpiredObjectDeleteMarker = aws.Bool(true)
		}
	}
	for _, t := range r.Transitions {
		days, date := whenOf(t.When)
		if days == nil && date == nil {
			days = aws.Int32(0) // on the day of its writing
		}
		out.Transitions = append(out.Transitions, types.Transition{Days: days, Date: date, StorageClass: types.TransitionStorageClass(t.Class)})
	}
	if n := r.ExpireNoncurrent; n != nil {
		out.NoncurrentVersionExpiration = &types.NoncurrentVersionExpiration{NoncurrentDays: number(n.Days), NewerNoncurrentVersions: number(n.Keep)}
	}
	for _, n := range r.NoncurrentTransitions {
		out.NoncurrentVersionTransitions = append(out.NoncurrentVersionTransitions, types.NoncurrentVersionTransition{
			NoncurrentDays: aws.Int32(int32(n.Days)), NewerNoncurrentVersions: number(n.Keep), StorageClass: types.TransitionStorageClass(n.Class),
		})
	}
	if r.AbortUploads > 0 {
		out.AbortIncompleteMultipartUpload = &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: number(r.AbortUploads)}
	}
	return out
}

// lifecycleFilter is one element where there is one condition, and "And" where there are several, as S3 wants it:
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRuleFilter.html.
func lifecycleFilter(r bucket.LifecycleRule) *types.LifecycleRuleFilter {
	and := types.LifecycleRuleAndOperator{ObjectSizeGreaterThan: sizeOf(r.LargerThan), ObjectSizeLessThan: sizeOf(r.SmallerThan), Tags: tagSet(r.Tags)}
	conditions := len(and.Tags)
	if len(r.Prefixes) > 0 {
		and.Prefix = aws.String(r.Prefixes[0])
		conditions++
	}
	for _, limit := range []*int64{and.ObjectSizeGreaterThan, and.ObjectSizeLessThan} {
		if limit != nil {
			conditions++
		}
	}
	switch {
	case conditions == 0:
		return &types.LifecycleRuleFilter{Prefix: aws.String("")}
	case conditions > 1:
		return &types.LifecycleRuleFilter{And: &and}
	case len(and.Tags) == 1:
		return &types.LifecycleRuleFilter{Tag: &and.Tags[0]}
	}
	return &types.LifecycleRuleFilter{Prefix: and.Prefix, ObjectSizeGreaterThan: and.ObjectSizeGreaterThan, ObjectSizeLessThan: and.ObjectSizeLessThan}
}

package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithy "github.com/aws/smithy-go"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/parts"
)

var _ interface {
	bucket.Configured
	bucket.Configurer
} = (*Bucket)(nil)

type fill = func(*bucket.Configuration)

// Configuration implements bucket.Configured. It needs the rights s3:GetBucketPolicy, s3:GetLifecycleConfiguration,
// s3:GetBucketCORS, s3:GetBucketVersioning, s3:GetEncryptionConfiguration, s3:GetBucketTagging, s3:GetBucketPublicAccessBlock,
// s3:GetBucketOwnershipControls, s3:GetBucketAcl, s3:GetBucketObjectLockConfiguration, s3:GetBucketWebsite,
// s3:GetBucketLogging, s3:GetBucketNotification, s3:GetReplicationConfiguration, s3:GetBucketLocation,
// s3:GetAccelerateConfiguration and s3:GetBucketRequestPayment:
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html.
func (b *Bucket) Configuration(ctx context.Context) (bucket.Configuration, error) {
	readers := []parts.Reader{
		{Part: bucket.PartPublicAccess, Read: b.publicAccess}, {Part: bucket.PartPublicAccess, Read: b.ownership},
		{Part: bucket.PartEncryption, Read: b.encryption}, {Part: bucket.PartVersioning, Read: b.versioning},
		{Part: bucket.PartLock, Read: b.lock}, {Part: bucket.PartPolicy, Read: b.policy}, {Part: bucket.PartTags, Read: b.tagging},
		{Part: bucket.PartCORS, Read: b.cors}, {Part: bucket.PartLifecycle, Read: b.lifecycle},
		{Part: bucket.PartPlacement, Read: b.location}, {Part: bucket.PartWebsite, Read: b.website},
		{Part: bucket.PartLogging, Read: b.logging}, {Part: bucket.PartNotification, Read: b.notification},
		{Part: bucket.PartReplication, Read: b.replication},
		{Part: bucket.PartOther, Read: b.acl}, {Part: bucket.PartOther, Read: b.acceleration}, {Part: bucket.PartOther, Read: b.payer},
	}
	return parts.Read(ctx, readers, func(err error) error { return b.fail("read the configuration", "", err) })
}

// absent turns the error by which S3 says that a part is not set into none. Only these codes say so: any other failure is
// no evidence (I8). https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
func absent(err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch api.ErrorCode() {
	case "NoSuchBucketPolicy", "NoSuchLifecycleConfiguration", "NoSuchCORSConfiguration", "ServerSideEncryptionConfigurationNotFoundError",
		"NoSuchTagSet", "NoSuchPublicAccessBlockConfiguration", "ObjectLockConfigurationNotFoundError", "NoSuchWebsiteConfiguration",
		"ReplicationConfigurationNotFoundError", "OwnershipControlsNotFoundError":
		return nil
	}
	return err
}

func (b *Bucket) publicAccess(ctx context.Context) (fill, error) {
	out, err := b.client.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &b.opts.Bucket})
	if err != nil || out.PublicAccessBlockConfiguration == nil {
		return nil, absent(err)
	}
	p := out.PublicAccessBlockConfiguration
	return func(c *bucket.Configuration) {
		noACLs := c.PublicAccess != nil && c.PublicAccess.NoACLs
		c.PublicAccess = &bucket.PublicAccess{
			BlockACLs: aws.ToBool(p.BlockPublicAcls), IgnoreACLs: aws.ToBool(p.IgnorePublicAcls),
			BlockPolicy: aws.ToBool(p.BlockPublicPolicy), RestrictBuckets: aws.ToBool(p.RestrictPublicBuckets), NoACLs: noACLs,
		}
	}, nil
}

// ownership tells whether access control lists count. A server that does not know the request has nothing to tell.
func (b *Bucket) ownership(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: &b.opts.Bucket})
	if errors.Is(kind(err), bucket.ErrUnsupported) {
		return nil, nil
	}
	if err != nil || out.OwnershipControls == nil {
		return nil, absent(err)
	}
	enforced := slices.ContainsFunc(out.OwnershipControls.Rules, func(r types.OwnershipControlsRule) bool {
		return r.ObjectOwnership == types.ObjectOwnershipBucketOwnerEnforced
	})
	if !enforced {
		return nil, nil
	}
	return func(c *bucket.Configuration) {
		if c.PublicAccess == nil {
			c.PublicAccess = &bucket.PublicAccess{}
		}
		c.PublicAccess.NoACLs = true
	}, nil
}

func (b *Bucket) encryption(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &b.opts.Bucket})
	if err != nil || out.ServerSideEncryptionConfiguration == nil {
		return nil, absent(err)
	}
	for _, rule := range out.ServerSideEncryptionConfiguration.Rules {
		d := rule.ApplyServerSideEncryptionByDefault
		if d == nil {
			continue
		}
		e := &bucket.DefaultEncryption{Key: aws.ToString(d.KMSMasterKeyID), BucketKey: aws.ToBool(rule.BucketKeyEnabled)}
		switch d.SSEAlgorithm {
		case types.ServerSideEncryptionAes256:
			e.Algorithm = bucket.EncryptedByProvider
		case types.ServerSideEncryptionAwsKms:
			e.Algorithm = bucket.EncryptedByKey
		case types.ServerSideEncryptionAwsKmsDsse:
			e.Algorithm = bucket.EncryptedTwice
		default:
			e.Algorithm = string(d.SSEAlgorithm)
		}
		return func(c *bucket.Configuration) { c.Encryption = e }, nil
	}
	return nil, nil
}

func (b *Bucket) versioning(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &b.opts.Bucket})
	if err != nil || out.Status == "" {
		return nil, err
	}
	v := &bucket.Versioning{State: bucket.VersioningSuspended, MFADelete: out.MFADelete == types.MFADeleteStatusEnabled}
	if out.Status == types.BucketVersioningStatusEnabled {
		v.State = bucket.VersioningEnabled
	}
	return func(c *bucket.Configuration) { c.Versioning = v }, nil
}

func (b *Bucket) lock(ctx context.Context) (fill, error) {
	out, err := b.client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &b.opts.Bucket})
	if err != nil || out.ObjectLockConfiguration == nil {
		return nil, absent(err)
	}
	l := &bucket.Retention{Enabled: out.ObjectLockConfiguration.ObjectLockEnabled == types.ObjectLockEnabledEnabled}
	if rule := out.ObjectLockConfiguration.Rule; rule != nil && rule.DefaultRetention != nil {
		l.Mode = string(rule.DefaultRetention.Mode)
		l.Days, l.Years = int(aws.ToInt32(rule.DefaultRetention.Days)), int(aws.ToInt32(rule.DefaultRetention.Years))
	}
	return func(c *bucket.Configuration) { c.Lock = l }, nil
}

func (b *Bucket) policy(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &b.opts.Bucket})
	if err != nil || aws.ToString(out.Policy) == "" {
		return nil, absent(err)
	}
	p, err := bucket.ParseS3Policy([]byte(*out.Policy))
	if err != nil {
		return nil, err
	}
	return func(c *bucket.Configuration) { c.Policy = p }, nil
}

func (b *Bucket) tagging(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: &b.opts.Bucket})
	if err != nil {
		return nil, absent(err)
	}
	tags := map[string]string{}
	for _, tag := range out.TagSet {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return func(c *bucket.Configuration) { c.Tags = tags }, nil
}

func (b *Bucket) cors(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketCors(ctx, &s3.GetBucketCorsInput{Bucket: &b.opts.Bucket})
	if err != nil {
		return nil, absent(err)
	}
	var rules []bucket.CORSRule
	for _, r := range out.CORSRules {
		rules = append(rules, bucket.CORSRule{
			ID: aws.ToString(r.ID), Origins: r.AllowedOrigins, Methods: r.AllowedMethods, RequestHeaders: r.AllowedHeaders,
			ExposedHeaders: r.ExposeHeaders, MaxAge: int(aws.ToInt32(r.MaxAgeSeconds)),
		})
	}
	return func(c *bucket.Configuration) { c.CORS = rules }, nil
}

// location of a bucket in us-east-1 is empty: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html.
func (b *Bucket) location(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: &b.opts.Bucket})
	if err != nil {
		return nil, err
	}
	at := string(out.LocationConstraint)
	if at == "" && b.opts.Endpoint == "" {
		at = "us-east-1"
	}
	return func(c *bucket.Configuration) { c.Location = at }, nil
}

func (b *Bucket) website(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketWebsite(ctx, &s3.GetBucketWebsiteInput{Bucket: &b.opts.Bucket})
	if err != nil {
		return nil, absent(err)
	}
	var words []string
	if out.IndexDocument != nil {
		words = append(words, "index "+aws.ToString(out.IndexDocument.Suffix))
	}
	if out.ErrorDocument != nil {
		words = append(words, "error page "+aws.ToString(out.ErrorDocument.Key))
	}
	if out.RedirectAllRequestsTo != nil {
		words = append(words, "all requests go to "+aws.ToString(out.RedirectAllRequestsTo.HostName))
	}
	if n := len(out.RoutingRules); n > 0 {
		words = append(words, fmt.Sprintf("routing rules: %d", n))
	}
	return func(c *bucket.Configuration) { c.Website = strings.Join(words, ", ") }, nil
}

func (b *Bucket) logging(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketLogging(ctx, &s3.GetBucketLoggingInput{Bucket: &b.opts.Bucket})
	if err != nil || out.LoggingEnabled == nil {
		return nil, err
	}
	to := aws.ToString(out.LoggingEnabled.TargetBucket) + "/" + aws.ToString(out.LoggingEnabled.TargetPrefix)
	return func(c *bucket.Configuration) { c.Logging = "to " + to }, nil
}

func (b *Bucket) notification(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: &b.opts.Bucket})
	if err != nil {
		return nil, err
	}
	var to []string
	for _, n := range out.TopicConfigurations {
		to = append(to, fmt.Sprintf("%v to topic %s", n.Events, aws.ToString(n.TopicArn)))
	}
	for _, n := range out.QueueConfigurations {
		to = append(to, fmt.Sprintf("%v to queue %s", n.Events, aws.ToString(n.QueueArn)))
	}
	for _, n := range out.LambdaFunctionConfigurations {
		to = append(to, fmt.Sprintf("%v to function %s", n.Events, aws.ToString(n.LambdaFunctionArn)))
	}
	if out.EventBridgeConfiguration != nil {
		to = append(to, "all events to EventBridge")
	}
	return func(c *bucket.Configuration) { c.Notification = to }, nil
}

func (b *Bucket) replication(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketReplication(ctx, &s3.GetBucketReplicationInput{Bucket: &b.opts.Bucket})
	if err != nil || out.ReplicationConfiguration == nil {
		return nil, absent(err)
	}
	var rules []string
	for _, r := range out.ReplicationConfiguration.Rules {
		text := strings.ToLower(string(r.Status))
		if r.Destination != nil {
			text = "to " + aws.ToString(r.Destination.Bucket) + ", " + text
		}
		rules = append(rules, text+", by role "+aws.ToString(out.ReplicationConfiguration.Role))
	}
	return func(c *bucket.Configuration) { c.Replication = rules }, nil
}

// acl tells of grants to others than the owner. They are never carried.
func (b *Bucket) acl(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: &b.opts.Bucket})
	if err != nil {
		return nil, err
	}
	owner := ""
	if out.Owner != nil {
		owner = aws.ToString(out.Owner.ID)
	}
	var grants []string
	for _, g := range out.Grants {
		if g.Grantee == nil || aws.ToString(g.Grantee.ID) == owner && aws.ToString(g.Grantee.URI) == "" {
			continue
		}
		who := aws.ToString(g.Grantee.URI) + aws.ToString(g.Grantee.ID)
		grants = append(grants, strings.ToLower(string(g.Permission))+" for "+who)
	}
	if len(grants) == 0 {
		return nil, nil
	}
	return func(c *bucket.Configuration) { c.Note("acl", strings.Join(grants, ", ")) }, nil
}

func (b *Bucket) acceleration(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketAccelerateConfiguration(ctx, &s3.GetBucketAccelerateConfigurationInput{Bucket: &b.opts.Bucket})
	if err != nil || out.Status != types.BucketAccelerateStatusEnabled {
		return nil, err
	}
	return func(c *bucket.Configuration) { c.Note("transfer acceleration", "on") }, nil
}

func (b *Bucket) payer(ctx context.Context) (fill, error) {
	out, err := b.client.GetBucketRequestPayment(ctx, &s3.GetBucketRequestPaymentInput{Bucket: &b.opts.Bucket})
	if err != nil || out.Payer != types.PayerRequester {
		return nil, err
	}
	return func(c *bucket.Configuration) { c.Note("request payment", "the requester pays") }, nil
}

package gcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/iam"
	"cloud.google.com/go/storage"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

var _ interface {
	bucket.Configured
	bucket.Configurer
} = (*Bucket)(nil)

// Configuration implements bucket.Configured. It needs storage.buckets.get, and storage.buckets.getIamPolicy for the policy
// (https://cloud.google.com/storage/docs/access-control/iam-permissions). Notifications have a request and a right of their own,
// storage.buckets.get.
func (b *Bucket) Configuration(ctx context.Context) (bucket.Configuration, error) {
	attrs, err := b.bucket.Attrs(ctx)
	if err != nil {
		return bucket.Configuration{}, b.fail("read the configuration", "", err)
	}
	c := bucket.Configuration{
		Tags: attrs.Labels, Location: attrs.Location, Encryption: &bucket.DefaultEncryption{Algorithm: bucket.EncryptedByProvider},
		PublicAccess: publicAccess(attrs), Lock: lock(attrs), CORS: corsRules(attrs.CORS),
	}
	if attrs.StorageClass != "STANDARD" {
		c.Class = attrs.StorageClass
	}
	if attrs.VersioningEnabled {
		c.Versioning = &bucket.Versioning{State: bucket.VersioningEnabled}
	}
	if e := attrs.Encryption; e != nil && e.DefaultKMSKeyName != "" {
		c.Encryption = &bucket.DefaultEncryption{Algorithm: bucket.EncryptedByKey, Key: e.DefaultKMSKeyName}
	}
	for _, rule := range attrs.Lifecycle.Rules {
		c.Lifecycle = append(c.Lifecycle, neutralRule(rule))
	}
	if w := attrs.Website; w != nil && w.MainPageSuffix+w.NotFoundPage != "" {
		c.Website = "main page " + w.MainPageSuffix + ", not found page " + w.NotFoundPage
	}
	if l := attrs.Logging; l != nil && l.LogBucket != "" {
		c.Logging = "to " + l.LogBucket + "/" + l.LogObjectPrefix
	}
	others(&c, attrs)
	if err := b.readPolicy(ctx, &c); err != nil {
		return bucket.Configuration{}, err
	}
	return c, b.readNotifications(ctx, &c)
}

func publicAccess(attrs *storage.BucketAttrs) *bucket.PublicAccess {
	enforced, uniform := attrs.PublicAccessPrevention == storage.PublicAccessPreventionEnforced, attrs.UniformBucketLevelAccess.Enabled
	if !enforced && !uniform {
		return nil
	}
	return &bucket.PublicAccess{BlockACLs: enforced, IgnoreACLs: enforced, BlockPolicy: enforced, RestrictBuckets: enforced, NoACLs: uniform}
}

func lock(attrs *storage.BucketAttrs) *bucket.Retention {
	l := bucket.Retention{Enabled: attrs.ObjectRetentionMode == "Enabled"}
	if r := attrs.RetentionPolicy; r != nil {
		l.Bucket, l.Locked, l.Period = true, r.IsLocked, r.RetentionPeriod
	}
	if l == (bucket.Retention{}) {
		return nil
	}
	return &l
}

// others enters settings that no field of a configuration has.
func others(c *bucket.Configuration, attrs *storage.BucketAttrs) {
	if a := attrs.Autoclass; a != nil && a.Enabled {
		c.Note("autoclass", "on")
	}
	if attrs.RequesterPays {
		c.Note("requester pays", "on")
	}
	if attrs.DefaultEventBasedHold {
		c.Note("default event-based hold", "on")
	}
	if h := attrs.HierarchicalNamespace; h != nil && h.Enabled {
		c.Note("hierarchical namespace", "on")
	}
	// Seven days are the default: https://cloud.google.com/storage/docs/soft-delete.
	if s := attrs.SoftDeletePolicy; s != nil && s.RetentionDuration != 7*24*time.Hour {
		c.Note("soft delete", s.RetentionDuration.String())
	}
	if attrs.RPO == storage.RPOAsyncTurbo {
		c.Note("turbo replication", "on")
	}
	var lists []string
	for _, rule := range slices.Concat(attrs.ACL, attrs.DefaultObjectACL) {
		if entity := string(rule.Entity); !strings.HasPrefix(entity, "project-") && rule.Role != storage.RoleOwner {
			lists = append(lists, fmt.Sprintf("%s for %s", rule.Role, entity))
		}
	}
	if len(lists) > 0 {
		c.Note("acl", strings.Join(lists, ", "))
	}
}

// readPolicy reads the bindings of IAM. Roles that the project gives are inherited and not the bucket's.
func (b *Bucket) readPolicy(ctx context.Context, c *bucket.Configuration) error {
	p, err := b.bucket.IAM().V3().Policy(ctx)
	if err = b.fail("read the policy", "", err); err != nil {
		return unread(c, bucket.PartPolicy, b.opts.Endpoint, err)
	}
	if len(p.Bindings) == 0 {
		return nil
	}
	document, err := json.Marshal(p.Bindings)
	if err != nil {
		return fmt.Errorf("read the policy of %s: %w", b.url, err)
	}
	c.Policy = &bucket.Policy{Dialect: bucket.DialectGCS, Document: document, Grants: grants(p)}
	return nil
}

func grants(p *iam.Policy3) []bucket.Grant {
	var out []bucket.Grant
	for _, binding := range p.Bindings {
		g := bucket.Grant{Actions: []string{binding.Role}}
		for _, member := range binding.Members {
			// Anybody with a Google account is anybody: https://cloud.google.com/iam/docs/principals-overview#all-authenticated-users.
			if member == iam.AllUsers || member == iam.AllAuthenticatedUsers {
				member = bucket.Everybody
			}
			g.Principals = append(g.Principals, member)
		}
		if binding.Condition != nil {
			g.Conditions = binding.Condition.GetExpression()
		}
		out = append(out, g)
	}
	return out
}

func (b *Bucket) readNotifications(ctx context.Context, c *bucket.Configuration) error {
	all, err := b.bucket.Notifications(ctx)
	if err = b.fail("read the notifications", "", err); err != nil {
		return unread(c, bucket.PartNotification, b.opts.Endpoint, err)
	}
	for _, n := range all {
		c.Notification = append(c.Notification, fmt.Sprintf("%v to topic %s/%s", n.EventTypes, n.TopicProjectID, n.TopicID))
	}
	slices.Sort(c.Notification)
	return nil
}

// unread makes a part unreadable where its error says that it cannot be read, and hands on any other error. An emulator
// answers "not found" to requests that it does not know, about a bucket that was just read.
func unread(c *bucket.Configuration, part bucket.Part, endpoint string, err error) error {
	switch {
	case errors.Is(err, bucket.ErrDenied):
		c.Unread(part, bucket.WhyDenied, "the credentials may not read it")
	case errors.Is(err, bucket.ErrUnsupported), endpoint != "" && errors.Is(err, bucket.ErrNotExist):
		c.Unread(part, bucket.WhyUnsupported, "the server does not know the request")
	default:
		return err
	}
	return nil
}

func corsRules(rules []storage.CORS) []bucket.CORSRule {
	var out []bucket.CORSRule
	for _, r := range rules {
		out = append(out, bucket.CORSRule{
			Origins: r.Origins, Methods: r.Methods, RequestHeaders: r.ResponseHeaders, ExposedHeaders: r.ResponseHeaders, MaxAge: int(r.MaxAge / time.Second),
		})
	}
	return out
}

package azure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

var _ interface {
	bucket.Configured
	bucket.Configurer
} = (*Bucket)(nil)

// Configuration implements bucket.Configured. The data plane tells a container's metadata, public access, stored access policies
// and encryption scope, and of its account the CORS rules, the static website and the logging, which hold for all of its
// containers (https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api). Lifecycle, versioning, immutability in
// detail, replication and role assignments are on the management plane
// (https://learn.microsoft.com/rest/api/storagerp/), which asks for other credentials: they are unreadable from here.
// It needs the account's key, or a role with .../containers/read, .../containers/getAcl/action and .../blobServices/read.
func (b *Bucket) Configuration(ctx context.Context) (bucket.Configuration, error) {
	got, err := b.client.GetProperties(ctx, nil)
	if err != nil {
		return bucket.Configuration{}, b.fail("read the configuration", "", err)
	}
	c := bucket.Configuration{Tags: map[string]string{}, Encryption: &bucket.DefaultEncryption{Algorithm: bucket.EncryptedByProvider}}
	for key, value := range got.Metadata {
		if value != nil {
			c.Tags[strings.ToLower(key)] = *value // headers of HTTP, in whose names case says nothing
		}
	}
	// A scope that is not the account's own may be of a key that the customer keeps.
	if s := got.DefaultEncryptionScope; s != nil && *s != "" && *s != "$account-encryption-key" {
		c.Encryption = &bucket.DefaultEncryption{Algorithm: bucket.EncryptedByKey, Key: "scope " + *s}
	}
	if set(got.HasImmutabilityPolicy) || set(got.HasLegalHold) || set(got.IsImmutableStorageWithVersioningEnabled) {
		c.Lock = &bucket.Retention{Enabled: true}
		c.Note("immutability", fmt.Sprintf("policy %v, legal hold %v, of versions %v", set(got.HasImmutabilityPolicy), set(got.HasLegalHold), set(got.IsImmutableStorageWithVersioningEnabled)))
	}
	if b.hierarchical() {
		c.Note("hierarchical namespace", "on, of the account; owners, groups and access control lists of its paths are not read")
	}
	const elsewhere = "it is on Azure's management plane"
	for _, part := range []bucket.Part{bucket.PartVersioning, bucket.PartLifecycle, bucket.PartReplication, bucket.PartNotification} {
		c.Unread(part, bucket.WhyElsewhere, elsewhere)
	}
	if err := b.readAccess(ctx, &c); err != nil {
		return bucket.Configuration{}, err
	}
	return c, b.readAccount(ctx, &c)
}

func set(b *bool) bool { return b != nil && *b }

// access is the document of an Azure policy: what is anonymous, and what holders of signatures may do.
type access struct {
	Public   string         `json:"public,omitempty"` // "container" or "blob"
	Policies []storedPolicy `json:"policies,omitempty"`
}

// storedPolicy is a stored access policy: https://learn.microsoft.com/rest/api/storageservices/define-stored-access-policy.
type storedPolicy struct {
	ID         string    `json:"id"`
	Start      time.Time `json:"start,omitzero"`
	Expiry     time.Time `json:"expiry,omitzero"`
	Permission string    `json:"permission,omitempty"`
}

func (b *Bucket) readAccess(ctx context.Context, c *bucket.Configuration) error {
	got, err := b.client.GetAccessPolicy(ctx, nil)
	if err = b.fail("read the access policy", "", err); err != nil {
		return unread(c, bucket.PartPolicy, err)
	}
	var doc access
	p := &bucket.Policy{Dialect: bucket.DialectAzure}
	if got.BlobPublicAccess != nil && *got.BlobPublicAccess != "" {
		doc.Public = string(*got.BlobPublicAccess)
		actions := []string{"read blobs"}
		if doc.Public == string(container.PublicAccessTypeContainer) {
			actions = append(actions, "list blobs")
		}
		p.Grants = append(p.Grants, bucket.Grant{ID: "public access " + doc.Public, Principals: []string{bucket.Everybody}, Actions: actions})
	}
	for _, s := range got.SignedIdentifiers {
		stored := storedPolicy{ID: *s.ID}
		if a := s.AccessPolicy; a != nil {
			if a.Start != nil {
				stored.Start = *a.Start
			}
			if a.Expiry != nil {
				stored.Expiry = *a.Expiry
			}
			if a.Permission != nil {
				stored.Permission = *a.Permission
			}
		}
		doc.Policies = append(doc.Policies, stored)
		p.Grants = append(p.Grants, bucket.Grant{ID: "stored access policy", Principals: []string{"signatures of " + stored.ID}, Actions: []string{stored.Permission}})
	}
	if len(p.Grants) == 0 {
		return nil
	}
	if p.Document, err = json.Marshal(doc); err != nil {
		return fmt.Errorf("read the access policy of %s: %w", b.url, err)
	}
	c.Policy = p
	return nil
}

// readAccount reads what holds for all containers of the account.
func (b *Bucket) readAccount(ctx context.Context, c *bucket.Configuration) error {
	got, err := b.account.GetProperties(ctx, nil)
	if err = b.fail("read the account's properties", "", err); err != nil {
		for _, part := range []bucket.Part{bucket.PartCORS, bucket.PartWebsite, bucket.PartLogging} {
			if err := unread(c, part, err); err != nil {
				return err
			}
		}
		return nil
	}
	for _, r := range got.CORS {
		c.CORS = append(c.CORS, corsRule(r))
	}
	if w := got.StaticWebsite; w != nil && set(w.Enabled) && b.opts.Container == "$web" {
		c.Website = "the account's static website"
	}
	if l := got.Logging; l != nil && (set(l.Read) || set(l.Write) || set(l.Delete)) {
		c.Logging = "of the whole account, to $logs"
	}
	if d := got.DeleteRetentionPolicy; d != nil && set(d.Enabled) && d.Days != nil {
		c.Note("soft delete of the account", fmt.Sprintf("%d days", *d.Days))
	}
	return nil
}

func corsRule(r *service.CORSRule) bucket.CORSRule {
	list := func(s *string) []string {
		if s == nil || *s == "" {
			return nil
		}
		return strings.Split(*s, ",")
	}
	out := bucket.CORSRule{Origins: list(r.AllowedOrigins), Methods: list(r.AllowedMethods), RequestHeaders: list(r.AllowedHeaders), ExposedHeaders: list(r.ExposedHeaders)}
	if r.MaxAgeInSeconds != nil {
		out.MaxAge = int(*r.MaxAgeInSeconds)
	}
	return out
}

func unread(c *bucket.Configuration, part bucket.Part, err error) error {
	switch {
	case errors.Is(err, bucket.ErrDenied):
		c.Unread(part, bucket.WhyDenied, "the credentials may not read it")
	case errors.Is(err, bucket.ErrUnsupported):
		c.Unread(part, bucket.WhyUnsupported, "the server does not know the request")
	default:
		return err
	}
	return nil
}

// Configure implements bucket.Configurer. It writes metadata and access; what is the account's is not changed for one of its
// containers. It needs the account's key, or a role with .../containers/write and .../containers/setAcl/action.
func (b *Bucket) Configure(ctx context.Context, part bucket.Part, c bucket.Configuration) error {
	if !c.Has(part) {
		return nil
	}
	switch part {
	case bucket.PartTags:
		metadata := map[string]*string{}
		for key, value := range c.Tags {
			metadata[key] = &value
		}
		_, err := b.client.SetMetadata(ctx, &container.SetMetadataOptions{Metadata: metadata})
		return b.fail("configure tags", "", err)
	case bucket.PartEncryption:
		if c.Encryption.Algorithm == bucket.EncryptedByProvider {
			return nil // it cannot be otherwise: https://learn.microsoft.com/azure/storage/common/storage-service-encryption
		}
	case bucket.PartPolicy:
		if c.Policy.Dialect == bucket.DialectAzure {
			return b.configureAccess(ctx, *c.Policy)
		}
	}
	return bucket.Wrap("configure "+string(part), b.url, "", bucket.ErrUnsupported, nil)
}

func (b *Bucket) configureAccess(ctx context.Context, p bucket.Policy) error {
	var doc access
	if err := json.Unmarshal(p.Document, &doc); err != nil {
		return fmt.Errorf("configure the access of %s: read the policy: %w", b.url, err)
	}
	opts := &container.SetAccessPolicyOptions{}
	if doc.Public != "" {
		public := container.PublicAccessType(doc.Public)
		opts.Access = &public
	}
	for _, s := range doc.Policies {
		stored := &container.AccessPolicy{}
		if !s.Start.IsZero() {
			stored.Start = &s.Start
		}
		if !s.Expiry.IsZero() {
			stored.Expiry = &s.Expiry
		}
		if s.Permission != "" {
			stored.Permission = &s.Permission
		}
		opts.ContainerACL = append(opts.ContainerACL, &container.SignedIdentifier{ID: &s.ID, AccessPolicy: stored})
	}
	_, err := b.client.SetAccessPolicy(ctx, opts)
	return b.fail("configure policy", "", err)
}

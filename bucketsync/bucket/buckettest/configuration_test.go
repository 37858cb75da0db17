package buckettest_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
)

// wholeConfiguration has every writable part, in the words that S3 and its likes take.
func wholeConfiguration(t *testing.T, name string) bucket.Configuration {
	t.Helper()
	policy, err := bucket.ParseS3Policy([]byte(`{"Version":"2012-10-17","Statement":[{"Sid":"read","Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::` + name + `/public/*"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return bucket.Configuration{
		PublicAccess: &bucket.PublicAccess{BlockACLs: true, IgnoreACLs: true, NoACLs: true},
		Encryption:   &bucket.DefaultEncryption{Algorithm: bucket.EncryptedByProvider},
		Versioning:   &bucket.Versioning{State: bucket.VersioningEnabled},
		Lock:         &bucket.Retention{Enabled: true, Mode: "GOVERNANCE", Days: 3},
		Policy:       policy,
		Tags:         map[string]string{"team": "shop", "cost": "4711"},
		CORS:         []bucket.CORSRule{{ID: "web", Origins: []string{"https://shop.example.com"}, Methods: []string{"GET", "PUT"}, RequestHeaders: []string{"*"}, ExposedHeaders: []string{"ETag"}, MaxAge: 600}},
		Lifecycle: []bucket.LifecycleRule{
			{ID: "tmp", Prefixes: []string{"tmp/"}, Expire: &bucket.When{Days: 7}},
			{ID: "old", Prefixes: []string{"logs/"}, Tags: map[string]string{"keep": "no", "kind": "log"}, LargerThan: 1000, SmallerThan: 1 << 30, Disabled: true, Expire: &bucket.When{Days: 30}},
			{ID: "versions", ExpireNoncurrent: &bucket.Noncurrent{Days: 14, Keep: 3}, RemoveMarkers: true},
		},
	}
}

// A store keeps a part of a configuration, or says that it does not have it. What it acknowledges and drops is only found by
// reading it back; fake-gcs-server does that.
func TestB18_EveryPartOfAConfigurationComesBackOrIsRefused(t *testing.T) {
	type parts = []bucket.Part
	for name, store := range map[string]struct{ keeps, drops parts }{
		"s3 fake": {keeps: parts{
			bucket.PartPublicAccess, bucket.PartEncryption, bucket.PartVersioning, bucket.PartLock, bucket.PartPolicy, bucket.PartTags,
			bucket.PartCORS, bucket.PartLifecycle,
		}},
		"s3 versitygw": {keeps: parts{bucket.PartPolicy, bucket.PartTags, bucket.PartCORS}},
		"minio":        {keeps: parts{bucket.PartVersioning, bucket.PartPolicy, bucket.PartTags, bucket.PartLifecycle}},
		"s3 minio":     {keeps: parts{bucket.PartVersioning, bucket.PartPolicy, bucket.PartTags, bucket.PartLifecycle}},
		"gcs":          {keeps: parts{bucket.PartEncryption, bucket.PartVersioning}, drops: parts{bucket.PartPublicAccess, bucket.PartTags, bucket.PartCORS, bucket.PartLifecycle}},
		"azure":        {keeps: parts{bucket.PartEncryption, bucket.PartTags}},
	} {
		t.Run(name, func(t *testing.T) {
			if reason := cannotStart(name); reason != "" {
				t.Skip(reason)
			}
			d := drivers()[name](t)
			b, err := d.Open(t, buckettest.At{Bucket: "b18-parts", Endpoint: d.Endpoint})
			must(t, err)
			must(t, b.(bucket.Maker).Make(t.Context()))
			want := wholeConfiguration(t, "b18-parts")
			for _, part := range bucket.Writable() {
				if part == bucket.PartLock && !slices.Contains(store.keeps, part) {
					continue // a lock is for buckets that were made with one, or have versions
				}
				err := b.(bucket.Configurer).Configure(t.Context(), part, want)
				got, rerr := b.(bucket.Configured).Configuration(t.Context())
				must(t, rerr)
				switch equal := reflect.DeepEqual(got.Value(part), want.Value(part)); {
				case slices.Contains(store.keeps, part):
					if err != nil || !equal {
						t.Errorf("%s is %+v, %v", part, got.Value(part), err)
					}
				case slices.Contains(store.drops, part) || !want.Has(part):
					if err != nil || equal && want.Has(part) {
						t.Errorf("%s is kept now: %v", part, err)
					}
				case got.Unreadable[part].Why == bucket.WhyUnsupported:
				case !errors.Is(err, bucket.ErrUnsupported):
					t.Errorf("%s is neither kept nor refused: %v", part, err)
				}
			}
		})
	}
}

// What cannot be read is told apart from what is not there (I8).
func TestB18_UnreadableIsNotAbsent(t *testing.T) {
	server := s3fake.Start(s3fake.Options{})
	t.Cleanup(server.Close)
	b, err := s3.Open(t.Context(), s3.Options{Bucket: "b", Endpoint: server.URL(), Complete: true, Region: "us-east-1", Credentials: s3.Credentials{AccessKey: "key", SecretKey: "secret"}, Attempts: 1})
	must(t, err)
	must(t, b.Make(t.Context()))
	whole, err := b.Configuration(t.Context())
	must(t, err)
	if len(whole.Unreadable) > 0 || whole.Has(bucket.PartLifecycle) {
		t.Fatalf("a new bucket is %+v", whole)
	}
	for subresource, part := range map[string]bucket.Part{
		"publicAccessBlock": bucket.PartPublicAccess, "ownershipControls": bucket.PartPublicAccess, "encryption": bucket.PartEncryption,
		"versioning": bucket.PartVersioning, "object-lock": bucket.PartLock, "policy": bucket.PartPolicy, "tagging": bucket.PartTags,
		"cors": bucket.PartCORS, "lifecycle": bucket.PartLifecycle, "location": bucket.PartPlacement, "website": bucket.PartWebsite,
		"logging": bucket.PartLogging, "notification": bucket.PartNotification, "replication": bucket.PartReplication, "acl": bucket.PartOther,
	} {
		for code, why := range map[string]bucket.Why{"AccessDenied": bucket.WhyDenied, "NotImplemented": bucket.WhyUnsupported, "NoSuchThing": ""} {
			if subresource == "ownershipControls" && why == bucket.WhyUnsupported {
				continue // a server without the request has no lists to switch off
			}
			status := map[bucket.Why]int{bucket.WhyDenied: 403, bucket.WhyUnsupported: 501, "": 400}[why]
			// It hits every such request: one that the last failure has canceled may come late, and would take the only one away.
			server.Inject(s3fake.Fault{Op: s3fake.GetConfiguration, Key: subresource, Status: status, Code: code})
			got, err := b.Configuration(t.Context())
			server.Heal()
			switch {
			case why == "":
				if err == nil {
					t.Errorf("%s: an unknown failure is taken for %+v", subresource, got)
				}
			case err != nil || got.Unreadable[part].Why != why || got.Has(part):
				t.Errorf("%s %s: %+v, %v", subresource, code, got, err)
			}
		}
	}
	missing, err := s3.Open(t.Context(), s3.Options{Bucket: "none", Endpoint: server.URL(), Region: "us-east-1", Credentials: s3.Credentials{AccessKey: "key", SecretKey: "secret"}})
	must(t, err)
	if _, err := missing.Configuration(t.Context()); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("a missing bucket has the configuration of %v", err)
	}
}

// A container tells its metadata and its access, and the account's rules for other origins; what is on the management plane
// is unreadable.
func TestB18_AzureTellsWhatTheDataPlaneHas(t *testing.T) {
	if reason := cannotStart("azure"); reason != "" {
		t.Skip(reason)
	}
	d := drivers()["azure"](t)
	b, err := d.Open(t, buckettest.At{Bucket: "b18-access", Endpoint: d.Endpoint})
	must(t, err)
	must(t, b.(bucket.Maker).Make(t.Context()))
	want := bucket.Configuration{Policy: &bucket.Policy{Dialect: bucket.DialectAzure, Document: []byte(`{"public":"blob","policies":[{"id":"web","expiry":"2030-01-01T00:00:00Z","permission":"rl"}]}`)}}
	must(t, b.(bucket.Configurer).Configure(t.Context(), bucket.PartPolicy, want))
	got, err := b.(bucket.Configured).Configuration(t.Context())
	must(t, err)
	if got.Policy == nil || string(got.Policy.Document) != string(want.Policy.Document) || !got.Policy.Public() || len(got.Policy.Grants) != 2 {
		t.Errorf("the policy is %+v", got.Policy)
	}
	for _, part := range []bucket.Part{bucket.PartLifecycle, bucket.PartVersioning} {
		if got.Unreadable[part].Why != bucket.WhyElsewhere {
			t.Errorf("%s is %+v", part, got.Unreadable[part])
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

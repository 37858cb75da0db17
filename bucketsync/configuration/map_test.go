package configuration_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/configuration"
)

//nolint:gochecknoglobals // flags of the test's program
var update = flag.Bool("update", false, "write the table of all pairs anew")

const policyS3 = `{"Version":"2012-10-17","Statement":[
 {"Sid":"app","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:role/shop","arn:aws:iam::111122223333:user/ann"]},"Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::blue/*"},
 {"Sid":"tls","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::blue","arn:aws:s3:::blue/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}},
 {"Sid":"web","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::blue/public/*"},
 {"Sid":"vpce","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::blue/*","Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1"}}},
 {"Sid":"logs","Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::blue/logs/*"}]}`

// source is a configuration of a provider with every part that it has.
func source(t *testing.T, provider string) bucket.Configuration {
	t.Helper()
	switch provider {
	case "s3", "minio":
		policy, err := bucket.ParseS3Policy([]byte(policyS3))
		if err != nil {
			t.Fatal(err)
		}
		c := bucket.Configuration{
			Policy:     policy,
			Encryption: &bucket.DefaultEncryption{Algorithm: bucket.EncryptedByKey, Key: "arn:aws:kms:eu-west-1:111122223333:key/1", BucketKey: true},
			Versioning: &bucket.Versioning{State: bucket.VersioningEnabled, MFADelete: provider == "s3"},
			Lock:       &bucket.Retention{Enabled: true, Mode: "COMPLIANCE", Days: 30},
			Tags:       map[string]string{"team": "shop", "Cost Centre": "4711", "aws:cloudformation:stack": "x"},
			CORS:       []bucket.CORSRule{{ID: "web", Origins: []string{"https://shop.example.com", "https://*.example.com"}, Methods: []string{"GET", "PUT"}, RequestHeaders: []string{"x-amz-*"}, ExposedHeaders: []string{"ETag"}, MaxAge: 600}},
			Lifecycle: []bucket.LifecycleRule{
				{ID: "tmp", Prefixes: []string{"tmp/"}, Expire: &bucket.When{Days: 7}, AbortUploads: 2},
				{ID: "tagged", Tags: map[string]string{"keep": "no"}, Expire: &bucket.When{Days: 1}},
				{ID: "cold", Transitions: []bucket.Transition{{When: bucket.When{Days: 40}, Class: "STANDARD_IA"}, {When: bucket.When{Days: 90}, Class: "INTELLIGENT_TIERING"}}, ExpireNoncurrent: &bucket.Noncurrent{Days: 14, Keep: 3}, RemoveMarkers: true},
				{ID: "off", Disabled: true, Expire: &bucket.When{Days: 3}},
				{ID: "day", Expire: &bucket.When{Date: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}},
			},
			Location: "eu-west-1", Notification: []string{"[s3:ObjectCreated:*] to queue arn:aws:sqs:eu-west-1:111122223333:q"},
			Replication: []string{"to arn:aws:s3:::copy, enabled, by role arn:aws:iam::111122223333:role/replicate"},
		}
		if provider == "s3" {
			c.PublicAccess = &bucket.PublicAccess{BlockACLs: true, IgnoreACLs: true, NoACLs: true}
			c.Website, c.Logging, c.Other = "index index.html", "to logs/", map[string]string{"transfer acceleration": "on"}
		}
		return c
	case "gcs":
		bindings := `[{"role":"roles/storage.legacyBucketOwner","members":["projectOwner:blue-1"]},` +
			`{"role":"roles/storage.objectAdmin","members":["serviceAccount:blue-1.svc.id.goog[shop/web]","serviceAccount:shop@blue-1.iam.gserviceaccount.com"]},` +
			`{"role":"roles/storage.objectViewer","members":["allUsers","user:ann@example.com"]}]`
		return bucket.Configuration{
			Policy: &bucket.Policy{Dialect: bucket.DialectGCS, Document: []byte(bindings), Grants: []bucket.Grant{
				{Principals: []string{"projectOwner:blue-1"}, Actions: []string{"roles/storage.legacyBucketOwner"}},
				{Principals: []string{"serviceAccount:blue-1.svc.id.goog[shop/web]", "serviceAccount:shop@blue-1.iam.gserviceaccount.com"}, Actions: []string{"roles/storage.objectAdmin"}},
				{Principals: []string{bucket.Everybody, "user:ann@example.com"}, Actions: []string{"roles/storage.objectViewer"}},
			}},
			PublicAccess: &bucket.PublicAccess{NoACLs: true},
			Encryption:   &bucket.DefaultEncryption{Algorithm: bucket.EncryptedByProvider},
			Versioning:   &bucket.Versioning{State: bucket.VersioningEnabled},
			Lock:         &bucket.Retention{Bucket: true, Locked: true, Period: 720 * time.Hour},
			Class:        "NEARLINE", Tags: map[string]string{"team": "shop", "long-name": "x"},
			CORS: []bucket.CORSRule{{Origins: []string{"*"}, Methods: []string{"GET", "OPTIONS"}, RequestHeaders: []string{"*"}, ExposedHeaders: []string{"*"}, MaxAge: 60}},
			Lifecycle: []bucket.LifecycleRule{
				{Prefixes: []string{"a/", "b/"}, Expire: &bucket.When{Days: 30}, Other: map[string]string{"isLive": "any"}},
				{Suffixes: []string{".tmp"}, Expire: &bucket.When{Days: 1}},
				{Transitions: []bucket.Transition{{When: bucket.When{Days: 10}, Class: "NEARLINE"}}},
				{ExpireNoncurrent: &bucket.Noncurrent{Keep: 4}},
				{Expire: &bucket.When{}, Other: map[string]string{"createdBefore": "2026-01-01"}},
			},
			Location: "EUROPE-WEST1", Website: "main page index.html, not found page 404.html", Logging: "to logs/x",
			Notification: []string{"[OBJECT_FINALIZE] to topic blue-1/t"}, Other: map[string]string{"autoclass": "on"},
		}
	case "azure":
		c := bucket.Configuration{
			Encryption: &bucket.DefaultEncryption{Algorithm: bucket.EncryptedByKey, Key: "scope own"},
			Lock:       &bucket.Retention{Enabled: true},
			Tags:       map[string]string{"team": "shop", "note": "a;b"},
			CORS:       []bucket.CORSRule{{Origins: []string{"*"}, Methods: []string{"GET", "MERGE"}, RequestHeaders: []string{"x-ms-*"}, ExposedHeaders: []string{"x-ms-*"}, MaxAge: 60}},
			Policy: &bucket.Policy{Dialect: bucket.DialectAzure, Document: []byte(`{"public":"blob","policies":[{"id":"web","permission":"rl"}]}`), Grants: []bucket.Grant{
				{ID: "public access blob", Principals: []string{bucket.Everybody}, Actions: []string{"read blobs"}},
				{ID: "stored access policy", Principals: []string{"signatures of web"}, Actions: []string{"rl"}},
			}},
			Website: "the account's static website", Logging: "of the whole account, to $logs",
		}
		c.Unread(bucket.PartVersioning, bucket.WhyElsewhere, "it is on Azure's management plane")
		c.Unread(bucket.PartLifecycle, bucket.WhyElsewhere, "it is on Azure's management plane")
		return c
	}
	return bucket.Configuration{}
}

func keys() map[string]string {
	return map[string]string{"arn:aws:kms:eu-west-1:111122223333:key/1": "green-key", "scope own": "green-key"}
}

func end(provider, name string) configuration.End {
	return configuration.End{Provider: provider, Bucket: name, Server: provider == "minio"}
}

func providers() []string { return []string{"s3", "minio", "gcs", "azure", "file"} }

// Of every part of every provider's configuration, the answer for every other provider says what becomes of it; and what is
// applied makes nobody see more than before.
func TestB18_NothingOfAConfigurationIsDroppedInSilence(t *testing.T) {
	var table strings.Builder
	for _, from := range providers() {
		for _, to := range providers() {
			r := configuration.Request{From: end(from, "blue"), To: end(to, "green"), Source: source(t, from), Keys: keys()}
			got := configuration.Map(r)
			if again := configuration.Map(r); !reflect.DeepEqual(got, again) {
				t.Errorf("%s to %s: two answers to one question", from, to)
			}
			for _, part := range bucket.Parts() {
				_, unread := r.Source.Unreadable[part]
				told := slices.ContainsFunc(got.Entries, func(e configuration.Entry) bool { return e.Part == part }) ||
					slices.ContainsFunc(got.Refusals, func(e configuration.Refusal) bool { return e.Part == part })
				if (r.Source.Has(part) || unread) && !told {
					t.Errorf("%s to %s: nothing is said of %s", from, to, part)
				}
			}
			for _, tag := range []string{"team", "Cost Centre", "long-name", "note"} {
				if _, has := r.Source.Tags[tag]; has && to != "file" {
					_, kept := got.Apply.Tags[tag]
					if !kept && !mentions(got, tag) {
						t.Errorf("%s to %s: the tag %s is neither kept nor lost", from, to, tag)
					}
				}
			}
			if to == "file" && !reflect.DeepEqual(got.Apply, bucket.Configuration{}) {
				t.Errorf("a directory gets %+v", got.Apply)
			}
			if p := got.Apply.Policy; p != nil && p.Public() && from == to && from != "minio" {
				for _, g := range p.Grants {
					if g.Public() && g.Conditions == "" {
						t.Errorf("%s: green is made public: %s", from, g)
					}
				}
			}
			write(&table, from, to, got)
		}
	}
	const path = "testdata/pairs.txt"
	if *update {
		if err := os.WriteFile(path, []byte(table.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != table.String() {
		t.Errorf("the table of all pairs differs from %s: look at it, and run the test with -update", path)
		diff(t, string(want), table.String())
	}
}

func diff(t *testing.T, want, got string) {
	t.Helper()
	was := strings.Split(want, "\n")
	for _, line := range strings.Split(got, "\n") {
		if !slices.Contains(was, line) {
			t.Log("new: " + line)
		}
	}
}

func mentions(a configuration.Answer, text string) bool {
	return slices.ContainsFunc(a.Entries, func(e configuration.Entry) bool { return strings.Contains(e.Detail, text) })
}

func write(b *strings.Builder, from, to string, a configuration.Answer) {
	fmt.Fprintf(b, "== %s to %s\n", from, to)
	for _, e := range a.Entries {
		fmt.Fprintf(b, "%-8s %s: %s\n", e.Fate, e.Part, e.Detail)
	}
	for _, r := range a.Refusals {
		fmt.Fprintf(b, "REFUSED  %s: %s. %s\n", r.Part, r.Why, r.Mend)
	}
	for _, i := range a.Identities {
		fmt.Fprintf(b, "identity %s (%s, %s): %s\n", i.Principal, i.Kind, i.Named, i.Make)
	}
	raw, _ := json.Marshal(a.Apply) // plain data
	fmt.Fprintf(b, "applied  %s\n", raw)
}

package bucketsync_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/azure"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/file"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/gcs"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/minio"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/bucketsync/configuration"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// pairOfFakes are a source with objects and a configuration, and a destination that is yet to be made, at two fakes that keep
// Amazon's rules.
type pairOfFakes struct {
	blue, green *s3fake.Server
	opts        bucketsync.Options

	mu  sync.Mutex
	log []string // of requests to green that change something
}

const (
	role         = "arn:aws:iam::111122223333:role/shop"
	blueKey      = "arn:aws:kms:eu-west-1:111122223333:key/blue"
	expiresAtDay = `<LifecycleConfiguration><Rule><ID>day</ID><Filter><Prefix>tmp/</Prefix></Filter><Status>Enabled</Status><Expiration><Date>2020-01-01T00:00:00.000Z</Date></Expiration></Rule></LifecycleConfiguration>`
)

func newPairOfFakes(t *testing.T) *pairOfFakes {
	t.Helper()
	f := &pairOfFakes{blue: s3fake.Start(s3fake.Options{}), green: s3fake.Start(s3fake.Options{Keys: []string{"green-key"}, Principals: []string{role}})}
	t.Cleanup(f.blue.Close)
	t.Cleanup(f.green.Close)
	from, to := s3At(t, f.blue.URL(), "blue"), s3At(t, f.green.URL(), "green")
	must(t, from.Make(t.Context()))
	for i := range 3 {
		_, err := from.Put(t.Context(), fmt.Sprintf("tmp/%d", i), strings.NewReader("content"), 7, bucket.PutOptions{})
		must(t, err)
	}
	for name, document := range map[string]string{
		"versioning":        `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`,
		"policy":            `{"Version":"2012-10-17","Statement":[{"Sid":"app","Effect":"Allow","Principal":{"AWS":"` + role + `"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::blue/*"}]}`,
		"tagging":           `<Tagging><TagSet><Tag><Key>team</Key><Value>shop</Value></Tag></TagSet></Tagging>`,
		"cors":              `<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>https://shop.example.com</AllowedOrigin></CORSRule></CORSConfiguration>`,
		"publicAccessBlock": `<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets></PublicAccessBlockConfiguration>`,
		"lifecycle":         expiresAtDay,
	} {
		must(t, f.blue.Configure("blue", name, document))
	}
	for _, op := range []s3fake.Op{s3fake.PutConfiguration, s3fake.DeleteConfiguration, s3fake.Put, s3fake.MakeBucket} {
		f.green.Inject(s3fake.Fault{Op: op, Wait: func(_ context.Context, key string) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.log = append(f.log, string(op)+" "+key)
			return nil
		}})
	}
	f.opts = bucketsync.Options{
		Migration: "m", Stage: "sync", Name: "b", From: from, To: to, Create: true, Final: true, Manifest: filepath.Join(t.TempDir(), "b.jsonl"),
	}
	return f
}

func s3At(t *testing.T, url, name string) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(t.Context(), s3.Options{
		Bucket: name, Endpoint: url, Complete: true, Region: "us-east-1", Credentials: s3.Credentials{AccessKey: "key", SecretKey: "secret"}, Attempts: 1,
	})
	must(t, err)
	return b
}

func (f *pairOfFakes) plan(t *testing.T) *plan.Plan {
	t.Helper()
	p, err := bucketsync.Plan(t.Context(), f.opts)
	must(t, err)
	return p
}

func (f *pairOfFakes) run(t *testing.T) bucketsync.Result {
	t.Helper()
	result, err := bucketsync.Apply(t.Context(), f.plan(t), &plan.MemoryRecorder{}, f.opts)
	must(t, err)
	return result
}

// since returns the requests since the last call.
func (f *pairOfFakes) since() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.log
	f.log = nil
	return out
}

func configurationOf(t *testing.T, b bucket.Bucket) bucket.Configuration {
	t.Helper()
	c, err := b.(bucket.Configured).Configuration(t.Context())
	must(t, err)
	return c
}

func notes(p *plan.Plan) string {
	var b strings.Builder
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "%s %s: %s\n", n.Level, n.What, n.Text)
	}
	return b.String()
}

// A missing destination is made with what the source has beside its objects: what guards objects before the first of them, what
// deletes them after the last, when both sides have been proven equal.
func TestB18_AMissingDestinationIsMadeAsTheSourceIs(t *testing.T) {
	f := newPairOfFakes(t)
	p := f.plan(t)
	if got := f.since(); len(got) > 0 {
		t.Fatalf("planning changed %q", got)
	}
	for _, want := range []string{"warning b: " + role + ": the IAM role is named by the source's policy", "info b: lifecycle: ages are counted anew"} {
		if !strings.Contains(notes(p), want) {
			t.Errorf("the plan does not say %q:\n%s", want, notes(p))
		}
	}
	result := f.run(t)
	requests := f.since()
	first := slices.IndexFunc(requests, func(r string) bool { return strings.HasPrefix(r, "put tmp/") })
	for i, request := range requests {
		switch subresource, isConfiguration := strings.CutPrefix(request, "put configuration "); {
		case isConfiguration && subresource == "lifecycle":
			if i != len(requests)-1 {
				t.Errorf("the lifecycle is written before the end: %q", requests)
			}
		case isConfiguration && i > first:
			t.Errorf("%s is written after the first object: %q", subresource, requests)
		}
	}
	if last := requests[len(requests)-1]; last != "put configuration lifecycle" {
		t.Errorf("the last request is %q", last)
	}
	blue, green := configurationOf(t, f.opts.From), configurationOf(t, f.opts.To)
	for _, part := range bucket.Writable() {
		if part != bucket.PartPolicy && !reflect.DeepEqual(blue.Value(part), green.Value(part)) {
			t.Errorf("%s is %+v at green", part, green.Value(part))
		}
	}
	if green.Policy == nil || !slices.Equal(green.Policy.Grants[0].Resources, []string{"arn:aws:s3:::green/*"}) || !slices.Equal(green.Policy.Grants[0].Principals, []string{role}) {
		t.Errorf("green's policy is %+v", green.Policy)
	}
	if len(result.Configuration.Parts) == 0 || len(result.Configuration.Identities) != 1 || slices.ContainsFunc(result.Configuration.Parts, func(c bucketsync.ConfiguredPart) bool { return c.Fate != configuration.Kept }) {
		t.Errorf("the report has %+v", result.Configuration)
	}
	f.run(t)
	if again := f.since(); len(again) > 0 {
		t.Errorf("a second run changes %q", again)
	}
}

// Rules that delete wait for a final sync, however often the copy is made before.
func TestB18_ExpiryWaitsForTheFinalSync(t *testing.T) {
	f := newPairOfFakes(t)
	f.opts.Final = false
	if p := f.plan(t); !strings.Contains(notes(p), "set up after the proof of the final sync") {
		t.Errorf("the plan does not say that something waits:\n%s", notes(p))
	}
	f.run(t)
	f.run(t)
	if configurationOf(t, f.opts.To).Has(bucket.PartLifecycle) {
		t.Fatal("a rule that deletes is there during the warm copy")
	}
	f.opts.Final = true
	f.run(t)
	if !configurationOf(t, f.opts.To).Has(bucket.PartLifecycle) {
		t.Fatal("the rule is not there after the final sync")
	}
}

// A destination that was there is left as it is; what differs is listed. Only where it is told to is it changed, and then with
// what was there in the change's reverse.
func TestB18_AnExistingDestinationIsLeftAsItIs(t *testing.T) {
	f := newPairOfFakes(t)
	must(t, f.opts.To.(bucket.Maker).Make(t.Context()))
	must(t, f.green.Configure("green", "tagging", `<Tagging><TagSet><Tag><Key>owner</Key><Value>green</Value></Tag></TagSet></Tagging>`))
	f.since()
	p := f.plan(t)
	for _, part := range []string{"policy", "lifecycle", "tags", "cors", "versioning", "public-access"} {
		if !strings.Contains(notes(p), "warning b: "+part+": it differs") {
			t.Errorf("nothing is said of %s:\n%s", part, notes(p))
		}
	}
	f.run(t)
	if got := slices.DeleteFunc(f.since(), func(r string) bool { return strings.HasPrefix(r, "put tmp/") }); len(got) > 0 {
		t.Errorf("the destination was changed: %q", got)
	}

	f.opts.Configuration = bucketsync.ConfigureApply
	p = f.plan(t)
	at := slices.IndexFunc(p.Changes, func(c plan.Change) bool { return c.ID == "sync/configuration/tags" })
	if at < 0 || p.Changes[at].Reverse == nil || !strings.Contains(string(p.Changes[at].Reverse.Data), `"owner":"green"`) {
		t.Fatalf("the change has no way back: %+v", p.Changes)
	}
	f.run(t)
	if tags := configurationOf(t, f.opts.To).Tags; tags["owner"] != "green" || tags["team"] != "shop" {
		t.Errorf("green's tags are %v", tags)
	}
	f.run(t)
	f.since()
	f.run(t)
	if again := f.since(); len(again) > 0 {
		t.Errorf("it is written again: %q", again)
	}
	f.opts.Configuration = bucketsync.ConfigureIgnore
	before := f.blue.Calls(s3fake.GetConfiguration)
	f.plan(t)
	if asked := f.blue.Calls(s3fake.GetConfiguration) - before; asked > 1 { // locks are asked for apart
		t.Errorf("a configuration that is to be ignored is asked for %d times", asked)
	}
}

// Stopped at any request, the next run ends where one that was not stopped does.
func TestB18_StoppedAnywhereTheNextRunConverges(t *testing.T) {
	whole := newPairOfFakes(t)
	whole.run(t)
	want := configurationOf(t, whole.opts.To)
	for n := range 8 {
		f := newPairOfFakes(t)
		stopped := s3fake.Start(s3fake.Options{})
		t.Cleanup(stopped.Close)
		f.green = stopped
		f.opts.To = s3At(t, stopped.URL(), "green")
		stopped.Inject(s3fake.Fault{Op: s3fake.PutConfiguration, Skip: n, Times: 1, Status: http.StatusForbidden, Code: "AccessDenied"})
		result, err := bucketsync.Apply(t.Context(), f.plan(t), &plan.MemoryRecorder{}, f.opts)
		if err == nil != (n > 5) {
			t.Fatalf("stopped at request %d: %v", n, err)
		}
		// After the proof it is no failure, which would take an application back to blue, but a loss.
		if lost := result.Configuration.Lost(); len(lost) > 0 != (n == 6) {
			t.Errorf("stopped at request %d, lost is %+v", n, lost)
		}
		f.run(t) // with a plan of its own, and nothing but what is beside the manifest
		if got := configurationOf(t, f.opts.To); !reflect.DeepEqual(got, want) {
			t.Errorf("stopped at request %d it is %+v, not %+v", n, got, want)
		}
	}
}

// Whoever changes what was written at green has reasons, and keeps the change; so does blue's change after the plan.
func TestB18_ChangesOfOthersAreKept(t *testing.T) {
	f := newPairOfFakes(t)
	f.opts.Final = false
	f.run(t)
	const own = `<Tagging><TagSet><Tag><Key>team</Key><Value>ours</Value></Tag></TagSet></Tagging>`
	must(t, f.green.Configure("green", "tagging", own))
	f.opts.Final = true
	f.run(t)
	if got := f.green.Configured("green", "tagging"); got != own {
		t.Errorf("green's own tags became %s", got)
	}

	for _, side := range []string{"source", "destination"} {
		f := newPairOfFakes(t)
		must(t, f.opts.To.(bucket.Maker).Make(t.Context()))
		f.opts.Configuration = bucketsync.ConfigureApply
		p := f.plan(t)
		if side == "source" {
			must(t, f.blue.Configure("blue", "tagging", own))
		} else {
			must(t, f.green.Configure("green", "tagging", own))
		}
		_, err := bucketsync.Apply(t.Context(), p, &plan.MemoryRecorder{}, f.opts)
		if !errors.Is(err, plan.ErrMoved) || !strings.Contains(err.Error(), side+"'s tags") {
			t.Errorf("the %s's tags changed since the plan: %v", side, err)
		}
	}
}

// What cannot be decided here is refused with its mend, before anything is made.
func TestB18_WhatMustBeDecidedIsRefused(t *testing.T) {
	encrypted := `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>` + blueKey + `</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`
	for name, test := range map[string]struct {
		spoil func(*pairOfFakes)
		want  string
	}{
		"a key that is not mapped": {func(f *pairOfFakes) { must(t, f.blue.Configure("blue", "encryption", encrypted)) }, "map the key"},
		"a policy that may not be read": {func(f *pairOfFakes) {
			f.blue.Inject(s3fake.Fault{Op: s3fake.GetConfiguration, Key: "policy", Status: http.StatusForbidden, Code: "AccessDenied"})
		}, "policy: it could not be read"},
		"a loss where none is allowed": {func(f *pairOfFakes) {
			f.opts.Strict = true
			must(t, f.blue.Configure("blue", "website", `<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>`))
		}, "website: it is lost"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newPairOfFakes(t)
			test.spoil(f)
			err := f.plan(t).Err()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("it is planned: %v", err)
			}
			if got := f.since(); len(got) > 0 {
				t.Errorf("planning changed %q", got)
			}
			f.opts.Configuration = bucketsync.ConfigureIgnore
			if err := f.plan(t).Err(); err != nil && name != "a key that is not mapped" {
				t.Errorf("it is refused where the configuration is left out: %v", err)
			}
		})
	}
	f := newPairOfFakes(t)
	must(t, f.blue.Configure("blue", "encryption", encrypted))
	f.opts.Keys = map[string]string{blueKey: "green-key"}
	f.run(t)
	if e := configurationOf(t, f.opts.To).Encryption; e.Algorithm != bucket.EncryptedByKey || e.Key != "green-key" {
		t.Errorf("green encrypts with %+v", e)
	}
}

// Whoever may only list and read at the source can copy to a directory, which could hold none of it anyway.
func TestB18_ADirectoryNeedsNoRightsToTheConfiguration(t *testing.T) {
	f := newPairOfFakes(t)
	f.blue.Inject(s3fake.Fault{Op: s3fake.GetConfiguration, Status: http.StatusForbidden, Code: "AccessDenied"})
	to, err := file.Open(t.Context(), file.Options{Dir: filepath.Join(t.TempDir(), "copy")})
	must(t, err)
	f.opts.To = to
	p := f.plan(t)
	must(t, p.Err())
	if n := strings.Count(notes(p), "a directory has none"); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, notes(p))
	}
	f.run(t)
}

// Objects can be locked from the first one on, and get retention by default only when both sides are equal: a warm copy is replaced
// by the next.
func TestB18_RetentionByDefaultComesLast(t *testing.T) {
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	if testing.Short() {
		t.Skip("starts a real server")
	}
	server := start(t, store.MinIO)
	open := func(name string) *minio.Bucket {
		b, err := minio.Open(t.Context(), minio.Options{
			Bucket: name, Endpoint: server.Endpoint, Region: server.Region, Credentials: minio.Credentials{AccessKey: server.AccessKey, SecretKey: server.SecretKey},
		})
		must(t, err)
		return b
	}
	from, to := open("blue"), open("green")
	must(t, from.MakeKeeping(t.Context(), bucket.Keeping{Locks: true}))
	put := func(content string) {
		_, err := from.Put(t.Context(), "a", strings.NewReader(content), int64(len(content)), bucket.PutOptions{})
		must(t, err)
	}
	put("one")
	want := bucket.Configuration{Lock: &bucket.Retention{Enabled: true, Mode: "GOVERNANCE", Days: 1}}
	must(t, from.Configure(t.Context(), bucket.PartLock, want))
	opts := bucketsync.Options{Migration: "m", Stage: "sync", Name: "b", From: from, To: to, Create: true, Manifest: filepath.Join(t.TempDir(), "b.jsonl")}
	run := func() {
		p, err := bucketsync.Plan(t.Context(), opts)
		must(t, err)
		_, err = bucketsync.Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
		must(t, err)
	}
	run()
	if lock := configurationOf(t, to).Lock; lock == nil || !lock.Enabled || lock.Mode != "" {
		t.Fatalf("while blue is written to, green's lock is %+v", lock)
	}
	opts.Final = true
	run()
	if lock := configurationOf(t, to).Lock; !reflect.DeepEqual(lock, want.Lock) {
		t.Errorf("after the final sync green's lock is %+v", lock)
	}
}

// Between servers that run here, a new destination gets what its server keeps, and the report says of the rest that it does not.
func TestB18_OverRealStores(t *testing.T) {
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	if testing.Short() {
		t.Skip("starts real servers")
	}
	minioServer, versity := start(t, store.MinIO), start(t, store.VersityGW)
	fakeGCS, azurite := start(t, store.FakeGCS), start(t, store.Azurite)
	from, err := minio.Open(t.Context(), minio.Options{
		Bucket: "blue", Endpoint: minioServer.Endpoint, Region: minioServer.Region,
		Credentials: minio.Credentials{AccessKey: minioServer.AccessKey, SecretKey: minioServer.SecretKey},
	})
	must(t, err)
	must(t, from.Make(t.Context()))
	policy, err := bucket.ParseS3Policy([]byte(`{"Version":"2012-10-17","Statement":[{"Sid":"web","Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::blue/public/*"]}]}`))
	must(t, err)
	want := bucket.Configuration{
		Versioning: &bucket.Versioning{State: bucket.VersioningEnabled}, Tags: map[string]string{"team": "shop"}, Policy: policy,
		Lifecycle: []bucket.LifecycleRule{{ID: "tmp", Prefixes: []string{"tmp/"}, Expire: &bucket.When{Days: 7}}},
	}
	for _, part := range bucket.Writable() {
		must(t, from.Configure(t.Context(), part, want))
	}
	_, err = from.Put(t.Context(), "tmp/a", strings.NewReader("content"), 7, bucket.PutOptions{})
	must(t, err)

	toMinIO, err := minio.Open(t.Context(), minio.Options{
		Bucket: "green", Endpoint: minioServer.Endpoint, Region: minioServer.Region,
		Credentials: minio.Credentials{AccessKey: minioServer.AccessKey, SecretKey: minioServer.SecretKey},
	})
	must(t, err)
	toS3, err := s3.Open(t.Context(), s3.Options{
		Bucket: "green", Endpoint: versity.Endpoint, Region: versity.Region,
		Credentials: s3.Credentials{AccessKey: versity.AccessKey, SecretKey: versity.SecretKey},
	})
	must(t, err)
	toGCS, err := gcs.Open(t.Context(), gcs.Options{Bucket: "green", Endpoint: fakeGCS.Endpoint, Project: "test", Credentials: gcs.Credentials{Anonymous: true}})
	must(t, err)
	toAzure, err := azure.Open(t.Context(), azure.Options{
		Container: "green", Account: azurite.AccessKey, Endpoint: azurite.Endpoint, Credentials: azure.Credentials{AccountKey: azurite.SecretKey},
	})
	must(t, err)
	for name, test := range map[string]struct {
		to         bucket.Bucket
		kept, lost []bucket.Part // of what is to be written
	}{
		"minio":           {to: toMinIO, kept: []bucket.Part{bucket.PartLifecycle, bucket.PartPolicy, bucket.PartTags, bucket.PartVersioning}},
		"versitygw":       {to: toS3, kept: []bucket.Part{bucket.PartTags}, lost: []bucket.Part{bucket.PartLifecycle, bucket.PartVersioning}},
		"fake-gcs-server": {to: toGCS, kept: []bucket.Part{bucket.PartVersioning}, lost: []bucket.Part{bucket.PartLifecycle, bucket.PartTags}},
		"azurite":         {to: toAzure, kept: []bucket.Part{bucket.PartTags}},
	} {
		t.Run(name, func(t *testing.T) {
			opts := bucketsync.Options{
				Migration: "m", Stage: "sync", Name: "b", From: from, To: test.to, Create: true, Final: true, Manifest: filepath.Join(t.TempDir(), "b.jsonl"),
			}
			p, err := bucketsync.Plan(t.Context(), opts)
			must(t, err)
			result, err := bucketsync.Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
			must(t, err)
			var kept, lost []bucket.Part
			for _, one := range result.Configuration.Parts {
				if one.Fate == configuration.Kept {
					kept = append(kept, one.Part)
				} else {
					lost = append(lost, one.Part)
				}
			}
			if !slices.Equal(kept, test.kept) || !slices.Equal(lost, test.lost) {
				t.Errorf("kept %v, lost %v of %+v\n%s", kept, lost, result.Configuration, notes(p))
			}
			if name == "minio" {
				if got := configurationOf(t, test.to); !reflect.DeepEqual(got.Lifecycle, want.Lifecycle) || got.Policy.Grants[0].Resources[0] != "arn:aws:s3:::green/public/*" {
					t.Errorf("green is %+v", got)
				}
			}
		})
	}
}

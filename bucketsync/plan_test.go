package bucketsync

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
	"github.com/crossfade-project/crossfade/internal/plan"
)

func TestPlan_ChangesNothingAndSaysWhatIsToDo(t *testing.T) {
	r := newRig(t)
	r.from.write(t, "a", strings.Repeat("x", 2048))
	r.from.write(t, "b", strings.Repeat("x", 1024))
	p := r.plan(t)
	if len(p.Changes) != 1 || p.Changes[0].Why != "copy 2 objects, 3.0 KiB; delete 0" || p.Changes[0].ID != "sync/b/sync" || p.Changes[0].Reverse == nil {
		t.Fatalf("%+v", p.Changes)
	}
	if n := r.to.count("put") + r.to.count("delete") + r.from.count("put") + r.from.count("open"); n != 0 || len(r.saveState(t)[r.opts.Manifest]) != 0 {
		t.Fatalf("planning made %d requests that change or read content, or wrote a manifest", n)
	}
	if again := r.plan(t); again.Hash() != p.Hash() {
		t.Fatal("the same plan again has another hash")
	}
}

// refused plans and demands a refusal that mentions every text, with a mend.
func refused(t *testing.T, opts Options, texts ...string) {
	t.Helper()
	p, err := Plan(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if !slices.ContainsFunc(p.Refusals, func(r plan.Refusal) bool {
			return strings.Contains(r.What+": "+r.Why, text) && r.Mend != ""
		}) {
			t.Errorf("no refusal says %q: %+v", text, p.Refusals)
		}
	}
	if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, opts); err == nil {
		t.Error("a refused plan was applied")
	}
}

func TestPlan_RefusesEndsThatCannotBe(t *testing.T) {
	r := newRig(t)
	same := r.opts
	same.To = r.from
	refused(t, same, "overlap")
	inside := r.opts
	inside.To = bucket.Sub(r.from, "copy/")
	refused(t, inside, "overlap")

	absent, err := memory.Open(t.Context(), memory.Options{Name: "absent", Absent: true})
	if err != nil {
		t.Fatal(err)
	}
	missing := r.opts
	missing.To = absent
	refused(t, missing, "does not exist")
	missing.From, missing.To = absent, r.to
	refused(t, missing, "does not exist")
}

func TestPlan_MakesAMissingDestinationWhereAsked(t *testing.T) {
	r := newRig(t)
	absent, err := memory.Open(t.Context(), memory.Options{Name: "absent", Absent: true})
	if err != nil {
		t.Fatal(err)
	}
	r.from.write(t, "a", "1")
	r.opts.To, r.opts.Create = absent, true
	if objects, _, err := Delta(t.Context(), r.opts); err != nil || objects != 1 {
		t.Fatalf("delta %d, %v", objects, err)
	}
	p := r.plan(t)
	if len(p.Changes) != 2 || p.Changes[0].Action != ActionCreate {
		t.Fatalf("%+v", p.Changes)
	}
	if result, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts); err != nil || result.Copied != 1 {
		t.Fatalf("%+v %v", result, err)
	}
}

func TestB09_MetadataThatDoesNotFitIsRefusedInThePlan(t *testing.T) {
	r := newRig(t)
	r.to.caps = func(c *bucket.Capabilities) { c.MetadataKeys, c.MaxMetadataSize = bucket.MetadataLowerCase, 20 }
	r.from.write(t, "case", "1", bucket.Properties{Metadata: map[string]string{"Owner": "a", "owner": "b"}})
	r.from.write(t, "size", "1", bucket.Properties{Metadata: map[string]string{"k": strings.Repeat("v", 30)}})
	refused(t, r.opts, `"case": the metadata keys "Owner" and "owner"`, `"size": its metadata takes 31 bytes`)

	r.to.caps = func(c *bucket.Capabilities) { c.MetadataKeys = bucket.MetadataIdentifiers }
	r.from.write(t, "name", "1", bucket.Properties{Metadata: map[string]string{"cache-tag": "a"}})
	refused(t, r.opts, `"name": the destination cannot hold the metadata key "cache-tag"`)
}

func TestB11_OversizeObjectsAreRefusedInThePlan(t *testing.T) {
	r := newRig(t)
	r.to.caps = func(c *bucket.Capabilities) { c.MaxObjectSize = 3 }
	r.from.write(t, "fits", "123")
	r.from.write(t, "large", "1234")
	refused(t, r.opts, `"large": it has 4 bytes`)
}

func TestB12_KeysThatDoNotFitAreRefusedInThePlan(t *testing.T) {
	r := newRig(t)
	r.to.caps = func(c *bucket.Capabilities) {
		c.MaxKeyLength = 5
		c.KeyProblem = func(key string) string {
			if strings.Contains(key, "//") {
				return "it holds two slashes in a row"
			}
			return ""
		}
	}
	r.from.write(t, "a//b", "1")
	r.from.write(t, "longer", "1")
	refused(t, r.opts, `"a//b": it holds two slashes`, `"longer": its key has 6 bytes`)
}

func TestPlan_DeltaGetsSmall(t *testing.T) {
	r := newRig(t)
	r.opts.Delete = true
	for _, key := range []string{"a", "b", "c"} {
		r.from.write(t, key, "1234")
	}
	if objects, bytes, err := Delta(t.Context(), r.opts); err != nil || objects != 3 || bytes != 12 {
		t.Fatalf("%d objects, %d bytes, %v", objects, bytes, err)
	}
	r.mustSync(t)
	r.from.write(t, "a", "5678")
	r.from.remove(t, "b")
	if objects, bytes, err := Delta(t.Context(), r.opts); err != nil || objects != 2 || bytes != 4 {
		t.Fatalf("%d objects, %d bytes, %v", objects, bytes, err)
	}
}

func TestPlace_Overlaps(t *testing.T) {
	at := func(url string) bucket.Bucket { return named{url: url} }
	for _, c := range []struct {
		a, b   string
		prefix string
		want   bool
	}{
		{"s3://b", "s3://b", "", true},
		{"s3://b", "s3://b2", "", false},
		{"s3://b", "gs://b", "", false},
		{"s3://b/data/", "s3://b", "", true},
		{"s3://b/data/", "s3://b/new/", "", false},
		{"s3://b/da", "s3://b/data/", "", true},
		{"file:///srv/blue", "file:///srv/blue2", "", false},
		{"file:///srv", "file:///srv/green", "", true},
		{"file:///srv", "file:///srv/green", "blue/", false},
		{"minio://h:1/b", "minio://h:2/b", "", false},
	} {
		for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			if got := placeOf(at(pair[0]), c.prefix).overlaps(t.Context(), placeOf(at(pair[1]), c.prefix), nowhere); (got == overlapping) != c.want {
				t.Errorf("%s and %s with prefix %q: overlap %v", pair[0], pair[1], c.prefix, got)
			}
		}
	}
}

// Two servers may each have a bucket of one name.
func TestPlace_EndpointTellsServersApart(t *testing.T) {
	one, two := named{url: "s3://b", endpoint: "http://10.0.0.1:9000"}, named{url: "s3://b", endpoint: "http://10.0.0.2:9000"}
	with := func(p, q place) kinship { return p.overlaps(t.Context(), q, nowhere) }
	if with(placeOf(one, ""), placeOf(two, "")) != apart || with(placeOf(one, ""), placeOf(one, "x")) != overlapping {
		t.Error("the endpoint is not looked at")
	}
}

// nowhere is a resolver that knows no name.
func nowhere(context.Context, string) ([]string, error) { return nil, errors.New("no such host") }

type named struct {
	bucket.Bucket
	url, endpoint string
}

func (n named) Describe() bucket.Capabilities {
	return bucket.Capabilities{URL: n.url, Endpoint: n.endpoint}
}

// A directory of a gateway has the time of the last change in it, so that its marker looks touched.
func TestObjectsWithoutBytesAreNotReadToBeCompared(t *testing.T) {
	r := newRig(t)
	r.from.noDigests, r.to.noDigests = true, true
	r.from.write(t, "folder/", "")
	r.mustSync(t)
	r.to.write(t, "folder/", "")
	if planned, err := PlannedOf(r.plan(t)); err != nil || planned.Same != 1 || planned.ToRead != 0 {
		t.Errorf("%+v, %v", planned, err)
	}
	r.from.forget()
	r.to.forget()
	r.mustSync(t)
	if n := r.from.count("open") + r.to.count("open"); n != 0 {
		t.Errorf("%d reads of nothing", n)
	}
	if report := r.verify(t, ModeProof); !report.Equal {
		t.Errorf("%+v", report)
	}
	r.from.write(t, "folder/", "x")
	r.to.write(t, "folder/", "y")
	if planned, err := PlannedOf(r.plan(t)); err != nil || planned.ToRead != 1 {
		t.Errorf("one byte is not compared: %+v, %v", planned, err)
	}
}

package bucketsync_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/minio"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
	"github.com/crossfade-project/crossfade/e2e/rig/store/accounts"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// lacking is a right that an account does not have.
type lacking struct {
	name   string
	side   string // whose account lacks it
	action string
	key    string // the object, or "*" for all, or "" for the bucket
	// The end: a refusal of the plan, objects that fail, or an error of the whole.
	refused, objects bool
	// What the destination has then of b and old, which the source has changed and deleted.
	b, old string
	// only is the one server that knows the right: at MinIO, who may write an object may write its tags with it.
	only store.Kind
}

func rights() []lacking {
	return []lacking{
		{name: "list the source", side: "from", action: "s3:ListBucket", refused: true, b: "was b", old: "old"},
		{name: "list the destination", side: "to", action: "s3:ListBucket", refused: true, b: "was b", old: "old"},
		{name: "read an object", side: "from", action: "s3:GetObject", key: "b", objects: true, b: "was b", old: "old"},
		{name: "read tags", side: "from", action: "s3:GetObjectTagging", key: "b", objects: true, b: "was b", old: "old"},
		{name: "write an object", side: "to", action: "s3:PutObject", key: "b", objects: true, b: "was b", old: "old"},
		{name: "write tags", side: "to", action: "s3:PutObjectTagging", key: "b", objects: true, b: "was b", old: "old", only: store.VersityGW},
		{name: "delete", side: "to", action: "s3:DeleteObject", key: "*", b: "is b", old: "old"},
	}
}

// ward is a server with accounts that lack a right.
type ward struct {
	server *store.Server
	open   func(t *testing.T, bucket string, keys accounts.Keys) bucket.Bucket
}

func wards(t *testing.T) map[string]ward {
	t.Helper()
	iam := filepath.Join(t.TempDir(), "iam")
	must(t, os.MkdirAll(iam, 0o700))
	minioServer, versity := start(t, store.MinIO), start(t, store.VersityGW, accounts.Iam(iam)...)
	onS3 := func(server *store.Server) func(*testing.T, string, accounts.Keys) bucket.Bucket {
		return func(t *testing.T, name string, keys accounts.Keys) bucket.Bucket {
			t.Helper()
			b, err := s3.Open(t.Context(), s3.Options{Bucket: name, Endpoint: server.Endpoint, Region: server.Region, Credentials: s3.Credentials(credentialsOf(keys))})
			must(t, err)
			return b
		}
	}
	return map[string]ward{
		"minio": {server: minioServer, open: func(t *testing.T, name string, keys accounts.Keys) bucket.Bucket {
			t.Helper()
			b, err := minio.Open(t.Context(), minio.Options{Bucket: name, Endpoint: minioServer.Endpoint, Region: minioServer.Region, Credentials: credentialsOf(keys)})
			must(t, err)
			return b
		}},
		"s3 at minio":  {server: minioServer, open: onS3(minioServer)},
		"s3 versitygw": {server: versity, open: onS3(versity)},
	}
}

func credentialsOf(k accounts.Keys) minio.Credentials {
	return minio.Credentials{AccessKey: k.AccessKey, SecretKey: k.SecretKey, SessionToken: k.SessionToken}
}

// An account without a right: the error names the bucket, the key, what was asked for and which right is missing; what can be copied is
// copied, nothing is deleted that should not be, and with the right given the same sync ends with both sides equal.
func TestRights_OnRealStores(t *testing.T) {
	needServers(t)
	for name, w := range wards(t) {
		t.Run(name, func(t *testing.T) {
			prefix := strings.ReplaceAll(name, " ", "-")
			for _, r := range rights() {
				if r.only != "" && r.only != w.server.Kind {
					continue
				}
				t.Run(r.name, func(t *testing.T) { w.without(t, prefix+"-"+strings.ReplaceAll(r.name, " ", "-"), r) })
			}
			t.Run("make a bucket", func(t *testing.T) { w.withoutMaking(t, prefix+"-make") })
		})
	}
}

func (w ward) root() accounts.Keys {
	return accounts.Keys{AccessKey: w.server.AccessKey, SecretKey: w.server.SecretKey}
}

func (w ward) without(t *testing.T, name string, r lacking) {
	names := map[string]string{"from": name + "-from", "to": name + "-to"}
	ends := map[string]bucket.Bucket{"from": w.open(t, names["from"], w.root()), "to": w.open(t, names["to"], w.root())}
	put := func(key, text string) {
		t.Helper()
		_, err := ends["from"].Put(t.Context(), key, strings.NewReader(text), int64(len(text)), bucket.PutOptions{Properties: bucket.Properties{Tags: map[string]string{"kind": "test"}}})
		must(t, err)
	}
	must(t, ends["from"].(bucket.Maker).Make(t.Context()))
	for _, key := range []string{"a", "b", "old"} {
		put(key, "was "+key)
	}
	manifest := filepath.Join(t.TempDir(), "manifest")
	syncFinally(t, ends["from"], ends["to"], manifest)
	put("a", "is a")
	put("b", "is b")
	put("new", "is new")
	must(t, ends["from"].Delete(t.Context(), bucket.Object{Key: "old"}))

	keys, err := accounts.Without(t.Context(), w.server, []string{names[r.side]}, accounts.Denial{Action: r.action, Bucket: names[r.side], Key: r.key})
	must(t, err)
	limited := map[string]bucket.Bucket{"from": ends["from"], "to": ends["to"]}
	limited[r.side] = w.open(t, names[r.side], keys)
	opts := bucketsync.Options{
		Migration: "m", Stage: "sync", Name: "b", From: limited["from"], To: limited["to"], Manifest: manifest, Delete: true, Brief: true, NoServerSideCopy: true,
	}
	p, err := bucketsync.Plan(t.Context(), opts)
	must(t, err)
	if (len(p.Refusals) > 0) != r.refused {
		t.Fatalf("refusals %v, want some: %t", p.Refusals, r.refused)
	}
	var said string
	if r.refused {
		said = p.Refusals[0].What + ": " + p.Refusals[0].Why + " → " + p.Refusals[0].Mend
	} else {
		_, err := bucketsync.Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
		if err == nil {
			t.Fatal("without the right to " + r.name + " the sync ended well")
		}
		var partial *bucketsync.FailedError
		if errors.As(err, &partial) != r.objects || partial != nil && partial.Count != 1 {
			t.Errorf("want one object that failed: %t, got %v", r.objects, err)
		}
		said = err.Error()
	}
	t.Log(said)
	for _, want := range []string{names[r.side], "access denied", "allow this account", r.action} {
		if !strings.Contains(said, want) {
			t.Errorf("the error does not say %q:\n%s", want, said)
		}
	}
	if r.objects && !strings.Contains(said, `"b"`) || r.key == "*" && !strings.Contains(said, `"old"`) {
		t.Errorf("the error does not name the object:\n%s", said)
	}
	want := map[string]string{"a": "is a", "b": r.b, "new": "is new", "old": "was " + r.old}
	if r.refused {
		want["a"], want["new"] = "was a", ""
	}
	shows(t, ends["to"], want)
	if r.objects {
		// The plan that looks at each object says the same before anything is done, where the right to look is what is missing.
		opts.Brief = false
		p, err := bucketsync.Plan(t.Context(), opts)
		must(t, err)
		if looks := r.side == "from"; looks != slices.ContainsFunc(p.Refusals, func(x plan.Refusal) bool {
			return strings.Contains(x.What, `"b"`) && strings.Contains(x.Why, "access denied") && strings.Contains(x.Mend, r.action)
		}) {
			t.Errorf("refusals %v, want one about b: %t", p.Refusals, looks)
		}
	}
	syncFinally(t, ends["from"], ends["to"], manifest)
	shows(t, ends["to"], map[string]string{"a": "is a", "b": "is b", "new": "is new"})
}

func (w ward) withoutMaking(t *testing.T, name string) {
	from, to := w.open(t, name+"-from", w.root()), w.open(t, name+"-to", w.root())
	must(t, from.(bucket.Maker).Make(t.Context()))
	_, err := from.Put(t.Context(), "a", strings.NewReader("a"), 1, bucket.PutOptions{})
	must(t, err)
	keys, err := accounts.Without(t.Context(), w.server, nil, accounts.Denial{Action: "s3:CreateBucket", Bucket: name + "-to"})
	must(t, err)
	opts := bucketsync.Options{Migration: "m", Stage: "sync", Name: "b", From: from, To: w.open(t, name+"-to", keys), Create: true, Manifest: filepath.Join(t.TempDir(), "manifest")}
	p, err := bucketsync.Plan(t.Context(), opts)
	must(t, err)
	if len(p.Refusals) > 0 {
		t.Fatal(p.Refusals)
	}
	_, err = bucketsync.Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
	if err == nil || !strings.Contains(err.Error(), name+"-to") || !strings.Contains(err.Error(), "allow this account s3:CreateBucket") {
		t.Fatalf("without the right to make a bucket: %v", err)
	}
	t.Log(err)
	if err := to.Check(t.Context()); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("the bucket is there: %v", err)
	}
}

// shows demands the content of objects; "" is that there is none.
func shows(t *testing.T, b bucket.Bucket, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for obj, err := range b.List(t.Context(), bucket.ListOptions{}) {
		must(t, err)
		body, _, err := b.Open(t.Context(), obj.Key, bucket.ReadOptions{})
		must(t, err)
		raw, err := io.ReadAll(body)
		must(t, errors.Join(err, body.Close()))
		got[obj.Key] = string(raw)
	}
	for key, text := range want {
		if got[key] != text {
			t.Errorf("the destination has %q under %q, want %q", got[key], key, text)
		}
		delete(got, key)
	}
	if len(got) > 0 {
		t.Errorf("the destination has %v besides", got)
	}
}

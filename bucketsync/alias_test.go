package bucketsync

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/file"
	"github.com/crossfade-project/crossfade/internal/plan"
)

func directory(t *testing.T, path string) *file.Bucket {
	t.Helper()
	b, err := file.Open(t.Context(), file.Options{Dir: path})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A mirror into a directory that a link names deletes nothing of its own source.
func TestB13_ALinkedDirectoryIsTheOneThatItLeadsTo(t *testing.T) {
	top := t.TempDir()
	for _, name := range []string{"p/rootfile", "p/sub/two", "q/x"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(top, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(top, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"al": "p", "deep": "p/sub"} {
		if err := os.Symlink(filepath.Join(top, to), filepath.Join(top, link)); err != nil {
			t.Skip(err)
		}
	}
	for _, ends := range [][2]string{{"p/sub", "al"}, {"al", "p/sub"}, {"deep", "p"}, {"p", "deep"}, {"p", "al"}, {"p", "deep/new"}} {
		opts := Options{
			Migration: "m", Stage: "sync/b", From: directory(t, filepath.Join(top, ends[0])), To: directory(t, filepath.Join(top, ends[1])),
			DeleteForeign: true, Create: true, TempDir: t.TempDir(),
		}
		refused(t, opts, "source and destination overlap")
	}
	opts := Options{Migration: "m", Stage: "sync/b", From: directory(t, filepath.Join(top, "q")), To: directory(t, filepath.Join(top, "al")), TempDir: t.TempDir()}
	if p, err := Plan(t.Context(), opts); err != nil || p.Err() != nil {
		t.Fatalf("two directories beside each other: %v, %+v", err, p.Refusals)
	}
}

// One server under two names is one.
func TestB13_AServerIsOneUnderAllItsNames(t *testing.T) {
	resolve := func(_ context.Context, host string) ([]string, error) {
		hosts := map[string][]string{
			"localhost": {"127.0.0.1", "::1"}, "blue.test": {"10.9.0.1", "fd00::1"}, "store.test": {"10.9.0.1"}, "green.test": {"10.9.0.2"},
		}
		if found, ok := hosts[host]; ok {
			return found, nil
		}
		return nil, fmt.Errorf("no such host as %s", host)
	}
	for _, c := range []struct {
		a, b named
		want kinship
	}{
		{named{url: "minio+http://127.0.0.1:9000/b"}, named{url: "minio+http://localhost:9000/b/x/"}, overlapping},
		{named{url: "minio+http://[::1]:9000/b"}, named{url: "minio+http://127.0.0.1:9000/b"}, overlapping},
		{named{url: "minio://Blue.test/b"}, named{url: "minio://blue.test.:443/b"}, overlapping},
		{named{url: "minio://blue.test/b"}, named{url: "s3://b", endpoint: "https://blue.test"}, overlapping},
		{named{url: "minio+http://blue.test/b", endpoint: "http://blue.test"}, named{url: "s3://b", endpoint: "http://BLUE.test:80/"}, overlapping},
		{named{url: "minio://10.9.0.1/b"}, named{url: "minio://blue.test/b"}, overlapping},
		{named{url: "minio://[fd00::1]/b"}, named{url: "minio://blue.test/b"}, overlapping},
		{named{url: "minio://store.test/b"}, named{url: "minio://blue.test/b"}, doubtful},
		{named{url: "minio://green.test/b"}, named{url: "minio://blue.test/b"}, apart},
		{named{url: "minio://store.test/b/x/"}, named{url: "minio://blue.test/b/y/"}, apart},
		{named{url: "minio://blue.test:9001/b"}, named{url: "minio://blue.test:9002/b"}, apart},
		{named{url: "minio://gone.test/b"}, named{url: "minio://blue.test/b"}, apart},
		{named{url: "s3://b"}, named{url: "s3://b", endpoint: "https://s3.eu-west-1.amazonaws.com"}, overlapping},
		{named{url: "gs://b"}, named{url: "s3://b", endpoint: "https://storage.googleapis.com"}, overlapping},
		{named{url: "s3://b"}, named{url: "gs://b"}, apart},
		{named{url: "az://one/b"}, named{url: "az://two/b"}, apart},
		{named{url: "az://one/b", endpoint: "http://localhost:1"}, named{url: "az://two/b", endpoint: "http://localhost:1"}, apart},
		{named{url: "az://one/b"}, named{url: "az://ONE/b", endpoint: "https://one.blob.core.windows.net"}, overlapping},
	} {
		for _, pair := range [][2]named{{c.a, c.b}, {c.b, c.a}} {
			if got := placeOf(pair[0], "").overlaps(t.Context(), placeOf(pair[1], ""), resolve); got != c.want {
				t.Errorf("%+v and %+v: %d, want %d", pair[0], pair[1], got, c.want)
			}
		}
	}
}

// Where names tell nothing, the stores do: a mirror of a part of a bucket into the whole of it under another name would delete its source.
func TestB13_APlaceUnderAnUnknownNameIsFoundOutByItsObjects(t *testing.T) {
	for name, c := range map[string]struct{ from, to, fromURL, toURL string }{
		"part into whole":             {"sub/", "", "s3://data/sub/", "s3://alias"},
		"whole into part":             {"", "sub/", "s3://data", "s3://alias/sub/"},
		"names that say nothing":      {"sub/", "", "s3://ap-one", "s3://ap-two"},
		"names that say nothing back": {"", "sub/", "s3://ap-one", "s3://ap-two"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for _, key := range []string{"rootfile", "sub/one", "sub/two", "zz"} {
				r.from.write(t, key, key)
			}
			second := &fake{Bucket: r.from.Bucket, calls: map[string]int{}}
			opts := r.opts
			opts.From, opts.To = named{Bucket: bucket.Sub(r.from, c.from), url: c.fromURL, endpoint: "http://one.test"}, named{Bucket: bucket.Sub(second, c.to), url: c.toURL, endpoint: "http://other.test"}
			opts.DeleteForeign, opts.Conflict = true, ConflictOverwrite
			refused(t, opts, "source and destination overlap")
			if left := r.from.keys(t); len(left) != 4 {
				t.Fatalf("only %q are left", left)
			}
		})
	}
}

// The whole of a place under another name is told of, and refused where both names lead to one address.
func TestB13_AWholePlaceUnderAnotherNameIsToldOf(t *testing.T) {
	r := newRig(t)
	r.from.write(t, "a", "1")
	r.from.write(t, "b", "2")
	second := &fake{Bucket: r.from.Bucket, calls: map[string]int{}}
	second.caps = func(c *bucket.Capabilities) { c.URL = "memory://other" }
	r.opts.To = second
	p := r.plan(t)
	if text := fmt.Sprint(p.Notes); !strings.Contains(text, "may be one place under two names") {
		t.Fatalf("not told: %s", text)
	}
	e, err := begin(t.Context(), r.opts.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	e.kinship = doubtful
	p = plan.New("m", "sync/b")
	planned, err := e.survey(t.Context(), p, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.unmirrored(t.Context(), p, planned); err != nil || len(p.Refusals) != 1 {
		t.Fatalf("%v, %+v", err, p.Refusals)
	}
}

// What an earlier run copied, also of the very same names one below the other, is no sign of one place.
func TestPlan_CopiesAreNoSignOfOnePlace(t *testing.T) {
	r := newRig(t)
	for _, key := range []string{"x", "blue/x", "green/x", "green/green/x"} {
		r.from.write(t, key, "same")
	}
	r.mustSync(t)
	r.from.write(t, "y", "more")
	r.mustSync(t)
	r.wantEqual(t)
}

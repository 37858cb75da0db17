package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
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
			t.Skipf("this file system has no links: %v", err)
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
		{named{url: "s3://b", endpoint: "https://s3.us-gov-west-1.amazonaws.com"}, named{url: "s3://b"}, apart},
		{named{url: "s3://b", endpoint: "https://s3.cn-north-1.amazonaws.com.cn"}, named{url: "s3://b", endpoint: "https://s3.cn-northwest-1.amazonaws.com.cn"}, overlapping},
		{named{url: "minio://blue.test/a"}, named{url: "minio://blue.test/b"}, distinct},
		{named{url: "minio://blue.test/a/x/"}, named{url: "minio://blue.test/a/y/"}, distinct},
		{named{url: "s3://ap-one", endpoint: "https://blue.test"}, named{url: "s3://ap-two", endpoint: "https://blue.test"}, apart},
		{named{url: "az://one/box"}, named{url: "az://two/box"}, apart},
		{named{url: "az://one/box", endpoint: "http://localhost:1"}, named{url: "az://two/box", endpoint: "http://localhost:1"}, apart},
		{named{url: "az://one/box"}, named{url: "az://ONE/box", endpoint: "https://one.blob.core.windows.net"}, overlapping},
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
	if e.kin, err = e.acquaint(t.Context()); err != nil {
		t.Fatal(err)
	}
	planned, err := e.survey(t.Context(), p, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.unmirrored(t.Context(), p, &planned); err != nil || len(p.Refusals) != 1 {
		t.Fatalf("%v, %+v", err, p.Refusals)
	}
}

// Folders of a store's own come before what lies in them, and are no sign of anything.
func TestB13_FoldersAloneDoNotHideTheFirstObjects(t *testing.T) {
	r := newRig(t)
	deep := &side{own: folderFirst{r.from}, other: r.to, heard: map[string]int{}, calm: map[string]bool{}}
	r.from.write(t, "a/object", "1")
	if err := deep.meet(t.Context(), r.opts); err != nil || len(deep.few) != 1 || deep.few[0].Key != "a/object" {
		t.Errorf("met are %+v, %v", deep.few, err)
	}
}

// folderFirst shows as many folders as are looked at, and then its objects.
type folderFirst struct{ bucket.Bucket }

func (f folderFirst) List(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		for i := range aliasSample {
			if !yield(bucket.Object{Key: fmt.Sprintf("%d/", i), Folder: bucket.FolderHolding}, nil) {
				return
			}
		}
		f.Bucket.List(ctx, opts)(yield)
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

// twoNames is a rig whose destination is its source under another name: from and to are what each has in front of its keys.
func twoNames(t *testing.T, from, to, fromURL, toURL string) (r *rig, second *fake) {
	t.Helper()
	r = newRig(t)
	second = &fake{Bucket: r.from.Bucket, calls: map[string]int{}}
	r.opts.From = named{Bucket: bucket.Sub(r.from, from), url: fromURL, endpoint: "http://one.test"}
	r.opts.To = named{Bucket: bucket.Sub(second, to), url: toURL, endpoint: "http://other.test"}
	r.opts.DeleteForeign, r.opts.MaxDelete, r.opts.Conflict = true, new(1.0), ConflictOverwrite
	return r, second
}

const anyName = "s3://of-any-kind"

// However many keys come before those of the source on the other side, they are heard of.
func TestB13_APlaceIsFoundOutBehindManyKeys(t *testing.T) {
	r, _ := twoNames(t, "sub/", "", "s3://ap-one", anyName)
	for i := range 3 * aliasListed {
		r.from.write(t, fmt.Sprintf("a%05d", i), "x")
	}
	r.from.write(t, "sub/only", "the one")
	refused(t, r.opts, "source and destination overlap")
}

// A choice of keys that takes nothing of the source may take all of it on the other side.
func TestB13_AChoiceThatTakesNothingOfTheSourceHidesNothing(t *testing.T) {
	r, _ := twoNames(t, "sub/", "", "s3://data/sub/", anyName)
	r.opts.Filter = Filter{Include: []string{"sub/**"}}
	for _, key := range []string{"root", "sub/one", "sub/two"} {
		r.from.write(t, key, key)
	}
	refused(t, r.opts, "source and destination overlap")
}

// An object that is deleted or replaced while the plan is made says nothing of the places.
func TestB13_AnObjectThatMovesHidesNothing(t *testing.T) {
	for name, move := range map[string]func(*rig){
		"deleted":  func(r *rig) { r.from.remove(t, "sub/one") },
		"replaced": func(r *rig) { r.from.write(t, "sub/one", "another") },
	} {
		t.Run(name, func(t *testing.T) {
			r, second := twoNames(t, "sub/", "", "s3://data/sub/", anyName)
			for _, key := range []string{"root", "sub/one", "sub/two"} {
				r.from.write(t, key, key)
			}
			moved := false
			second.before = func(op, key string) error {
				if op == "head" && key == "sub/one" && !moved {
					moved = true
					move(r)
				}
				return nil
			}
			refused(t, r.opts, "source and destination overlap")
		})
	}
}

// What the names of places tell of the keys in front, however deep.
func TestAlias_NamesTellWhatIsInFront(t *testing.T) {
	for _, c := range []struct{ inner, outer, want string }{
		{"s3://data/a/b/c/d/e/f/g/h/i/j/", "s3://alias", "a/b/c/d/e/f/g/h/i/j/"},
		{"s3://data/a/b/c/d/e/f/g/h/i/j/", "minio://h/alias/a/b/", "c/d/e/f/g/h/i/j/"},
		{"s3://data/a/b/c/d/e/f/g/h/i/j/", "s3://alias/x/", "a/b/c/d/e/f/g/h/i/j/"},
		{"s3://data/logs-", "s3://alias", "logs-"},
		{"az://one/data", "/srv/one", "data/"},
		{"file:///srv/with%20space/x", "s3://alias", "with space/x/"},
	} {
		if got := shiftsOf(c.inner, c.outer); !slices.Contains(got, c.want) || len(got) > aliasShifts {
			t.Errorf("%s in %s: %q, want %q among them", c.inner, c.outer, got, c.want)
		}
	}
}

// A key that the other side cannot have is not asked for: it is an error there.
func TestPlan_NoPlaceIsAskedForKeysThatItCannotHave(t *testing.T) {
	r := newRig(t)
	r.opts.From = named{Bucket: r.from, url: "/srv/a/b/c/d"}
	r.from.write(t, strings.Repeat("k", 20), "x")
	r.to.write(t, "other", "x")
	r.to.caps = func(c *bucket.Capabilities) { c.MaxKeyLength = 25 }
	r.to.before = func(op, key string) error {
		if op == "head" && len(key) > 25 {
			return errors.New("the key is too long")
		}
		return nil
	}
	r.mustSync(t)
}

// Hard links are files of two directories, and no sign that these are one. The same directory in another one is, wherever it is.
func TestPlan_HardLinksAreNoSignOfOnePlace(t *testing.T) {
	top := t.TempDir()
	for _, name := range []string{"data/sub/one", "data/sub/two"} {
		write := filepath.Join(top, name)
		snap := filepath.Join(top, strings.Replace(name, "data", "snap", 1))
		for _, dir := range []string{filepath.Dir(write), filepath.Dir(snap)} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(write, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(write, snap); err != nil {
			t.Skipf("this file system has no links: %v", err)
		}
	}
	for _, from := range []string{"data/sub", "data"} {
		opts := Options{Migration: "m", Stage: "sync/b", From: directory(t, filepath.Join(top, from)), To: directory(t, filepath.Join(top, "snap")), TempDir: t.TempDir()}
		p, err := Plan(t.Context(), opts)
		if text := fmt.Sprint(p.Refusals, p.Notes); err != nil || strings.Contains(text, "overlap") || strings.Contains(text, "one place") {
			t.Errorf("%s: %v, %s", from, err, text)
		}
	}
}

// The requests that look whether two places are one are among those that a plan foresees.
func TestPlan_ForeseesTheRequestsThatTellPlacesApart(t *testing.T) {
	for _, held := range []bool{false, true} {
		r := newRig(t)
		r.opts.Brief = true
		for i := range 20 {
			r.from.write(t, fmt.Sprint(i), "x")
		}
		if held {
			r.to.write(t, "foreign", "y")
		}
		p := r.plan(t)
		planned, err := PlannedOf(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts); err != nil {
			t.Fatal(err)
		}
		for side, c := range map[*fake]Requests{r.from: planned.FromRequests, r.to: planned.ToRequests} {
			if got := int64(side.count("head")); got > c.Head || got < c.Head-4 {
				t.Errorf("held %v: %s was looked at %d times, and %d were foreseen", held, side.Describe().URL, got, c.Head)
			}
		}
	}
}

package buckettest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

func checkRanges(t *testing.T, d Driver) {
	b := fresh(t, d)
	var all []string
	for i := range 3*PageSize + 1 {
		all = append(all, fmt.Sprintf("dir/%02d", i))
	}
	all = append(all, "A", "b c+d%20e", "dir-a", "dir.b/x", "dir0", "z/ü", "z/世", "z/😀", "zz")
	for _, key := range all {
		put(t, b, key, []byte(key), bucket.PutOptions{})
	}
	slices.Sort(all)
	for _, opts := range []bucket.ListOptions{
		{}, {Prefix: "dir"}, {Prefix: "dir/"}, {Prefix: "dir/1"}, {Prefix: "none"}, {After: "dir/05"}, {After: "dir/05x"}, {After: "zz"},
		{Before: "dir/05"}, {Before: "A"}, {After: "A", Before: "b c+d%20e"}, {After: "dir/03", Before: "dir/17"}, {Prefix: "dir/", After: "dir/19"},
		{Prefix: "dir/", After: "a"}, {Prefix: "dir/", After: "e"}, {Prefix: "dir/", Before: "zz"}, {Prefix: "z/", After: "z/ü", Before: "z/😀"},
		{After: "z", Before: "z"}, {Prefix: "dir", After: "dir/20", Before: "dir0"},
	} {
		want := slices.DeleteFunc(slices.Clone(all), func(key string) bool {
			return !strings.HasPrefix(key, opts.Prefix) || opts.After != "" && key <= opts.After || opts.Before != "" && key >= opts.Before
		})
		got := keys(t, b, opts)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%+v gives %q, want %q", opts, got, want)
		}
	}
	// A listing may be left at any object.
	for obj, err := range b.List(t.Context(), bucket.ListOptions{}) {
		if err != nil {
			t.Error(err)
		}
		if obj.Size != int64(len(obj.Key)) {
			t.Errorf("%q has %d bytes", obj.Key, obj.Size)
		}
		break
	}
	inside := bucket.Sub(b, "dir/")
	if got := keys(t, inside, bucket.ListOptions{After: "03", Before: "06"}); !slices.Equal(sorted(got), []string{"04", "05"}) {
		t.Errorf("below a prefix the listing shows %q", got)
	}
	wantContent(t, inside, "04", []byte("dir/04"))
}

func sorted(keys []string) []string {
	slices.Sort(keys)
	return keys
}

// hostileKeys are what at least one store or system has trouble with (B12).
func hostileKeys() []string {
	return []string{
		"a", "a/b", "a//b", "/lead", "//two", "trail/", "trail//", "dot/./x", "dot/../x", ".", "..", "../up", "dots...", "x/..",
		"x/.", "sp ace", " lead", "trail ", "plus+", "percent%", "percent%41", "%2F", "q?a=b&c", "hash#x", `back\slash`, "colon:", "quote'\"",
		"tab\t", "line\nfeed", "return\r", "bell\a", "del\x7f", "low\x01", "<&>", "caf\u00e9", "cafe\u0301", "世界", "😀", "\uffff", "star*", "tilde~", "(x)", "[y]", "{z}", "a;b=c,d@e$f",
		"_$folder$", "con", "A", ".crossfade/lock", "a%=", "x%+", "%_", strings.Repeat("k", 1024), strings.Repeat("d/", 511) + "xy", strings.Repeat("ü", 512), strings.Repeat("s", 254) + "/" + strings.Repeat("t", 254), strings.Repeat("long", 64),
	}
}

func checkKeys(t *testing.T, d Driver) {
	b := fresh(t, d)
	problem := b.Describe().KeyProblem
	if problem == nil {
		problem = func(string) string { return "" }
	}
	var stored []string
	for _, key := range hostileKeys() {
		_, err := b.Put(t.Context(), key, strings.NewReader("of "+key), int64(len("of "+key)), bucket.PutOptions{})
		switch said := problem(key); {
		case said != "" && !errors.Is(err, bucket.ErrUnsupported):
			t.Errorf("%.60q: said to be a problem (%s), and put gives %v", key, said, err)
		case said != "":
			t.Logf("refused in the plan: %.60q: %s", key, said)
		case errors.Is(err, bucket.ErrUnsupported):
			// What depends on the keys that are there already cannot be said of one key alone.
			t.Logf("refused by the store: %.60q", key)
		case err != nil:
			t.Errorf("%.60q: neither stored nor refused: %.300s", key, err.Error())
		default:
			stored = append(stored, key)
		}
	}
	for _, key := range stored {
		content, _, err := read(t.Context(), b, key, bucket.ReadOptions{})
		if err != nil || string(content) != "of "+key {
			t.Errorf("%.60q reads as %.60q, %v", key, content, err)
		}
		if _, err := b.Head(t.Context(), key); err != nil {
			t.Errorf("head: %v", err)
		}
	}
	slices.Sort(stored)
	visible := stored
	if d.HidesBelowObjects {
		visible = slices.DeleteFunc(slices.Clone(stored), func(key string) bool {
			return slices.ContainsFunc(stored, func(other string) bool { return strings.HasPrefix(key, other+"/") })
		})
		t.Logf("known limit: the listing hides %.60q", without(stored, visible))
	}
	if found := sorted(keys(t, b, bucket.ListOptions{})); !slices.Equal(found, visible) {
		t.Errorf("the listing shows %.300q beside what was stored, and misses %.300q", without(found, visible), without(visible, found))
	}
	for _, key := range stored {
		if err := b.Delete(t.Context(), bucket.Object{Key: key}); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if found := keys(t, b, bucket.ListOptions{}); len(found) > 0 {
		t.Errorf("deleting all leaves %.100q", found)
	}
}

func without(keys, others []string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return slices.Contains(others, key) })
}

// checkFailedListing lets a proxy break the second page in several ways.
func checkFailedListing(t *testing.T, d Driver) {
	direct := freshAt(t, d, At{Bucket: name(), Endpoint: d.Endpoint})
	for i := range 3 * PageSize {
		put(t, direct, fmt.Sprintf("key%02d", i), []byte("x"), bucket.PutOptions{})
	}
	for name, breakIt := range map[string]breaker{"refused": refuse, "cut off": cutOff, "not found": notFound, "empty": emptyAnswer, "torn": tear} {
		proxy := newProxy(t, d.Endpoint, isListing, 2, breakIt)
		b := open(t, d, At{Bucket: bucketName(direct), Endpoint: proxy.url})
		count, failed := 0, 0
		for _, err := range b.List(t.Context(), bucket.ListOptions{}) {
			if failed > 0 {
				t.Errorf("%s: the listing goes on after its error", name)
			}
			if err != nil {
				failed++
				continue
			}
			count++
		}
		if failed == 0 {
			t.Errorf("%s: a listing that broke at its second page ends after %d of %d keys without an error", name, count, 3*PageSize)
		}
		if proxy.requests() < 2 {
			t.Errorf("%s: the proxy saw %d pages of a listing: the check checks nothing", name, proxy.requests())
		}
	}
}

// bucketName is the last element of the URL of the bucket, the whole of it.
func bucketName(b bucket.Bucket) string {
	all, _ := bucket.Below(b, "")
	url := all.Describe().URL
	return url[strings.LastIndexByte(url, '/')+1:]
}

func checkMissing(t *testing.T, d Driver) {
	b := open(t, d, At{Bucket: name(), Endpoint: d.Endpoint})
	wantError(t, b.Check(t.Context()), bucket.ErrNotExist)
	wantError(t, listError(t, b), bucket.ErrNotExist)
	_, err := b.Head(t.Context(), "key")
	wantError(t, err, bucket.ErrNotExist)
	_, err = b.Put(t.Context(), "key", strings.NewReader("x"), 1, bucket.PutOptions{})
	wantError(t, err, bucket.ErrNotExist)
}

func checkDenied(t *testing.T, d Driver) {
	b := open(t, d, At{Bucket: bucketName(fresh(t, d)), Endpoint: d.Endpoint, WrongCredentials: true})
	wantError(t, b.Check(t.Context()), bucket.ErrDenied)
	wantError(t, listError(t, b), bucket.ErrDenied)
	_, err := b.Put(t.Context(), "key", strings.NewReader("x"), 1, bucket.PutOptions{})
	wantError(t, err, bucket.ErrDenied)
}

func listError(t *testing.T, b bucket.Bucket) error {
	t.Helper()
	for obj, err := range b.List(t.Context(), bucket.ListOptions{}) {
		if err != nil {
			return err
		}
		t.Errorf("the listing shows %q", obj.Key)
	}
	t.Error("the listing ends without an error")
	return nil
}

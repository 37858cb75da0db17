package bucketsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// The merge of any three sets gives, for every key of any of them and in order, exactly what each has.
func TestMerge_IsWhatMapsWouldGive(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		draw := func() map[string]bool {
			set := map[string]bool{}
			for range random.IntN(20) {
				set[string([]byte{byte(random.IntN(4)) + 'a', byte(random.IntN(256))})] = true
			}
			return set
		}
		src, dst, recs := draw(), draw(), draw()
		all := map[string]bool{}
		for _, set := range []map[string]bool{src, dst, recs} {
			for k := range set {
				all[k] = true
			}
		}
		var want []string
		for k := range all {
			want = append(want, k)
		}
		slices.Sort(want)
		var got []string
		per := 1 + random.IntN(5)
		m := openMerger(t.Context(), sources{src: objectsOf(src, per), dst: objectsOf(dst, per+1), recs: recordsOf(recs, per+2)})
		err := m.merge(func(*merger) string { return "" }, func(p pair) error {
			got = append(got, p.key)
			if (p.src != nil) != src[p.key] || (p.dst != nil) != dst[p.key] || (p.rec != nil) != recs[p.key] {
				t.Fatalf("%q: %v %v %v", p.key, p.src, p.dst, p.rec)
			}
			if p.src != nil && p.src.Key != p.key || p.dst != nil && p.dst.Key != p.key || p.rec != nil && p.rec.Key != p.key {
				t.Fatalf("%q is paired with another key", p.key)
			}
			return nil
		})
		m.close()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("keys %q, want %q", got, want)
		}
	}
}

func sortedKeys(set map[string]bool) []string {
	keys := make([]string, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// objectsOf gives objects in pages of so many.
func objectsOf(set map[string]bool, per int) func(context.Context) iter.Seq2[[]bucket.Object, error] {
	var all []bucket.Object
	for _, k := range sortedKeys(set) {
		all = append(all, bucket.Object{Key: k})
	}
	return inPages(all, per)
}

func recordsOf(set map[string]bool, per int) func(context.Context) iter.Seq2[[]Record, error] {
	var all []Record
	for _, k := range sortedKeys(set) {
		all = append(all, Record{Key: k})
	}
	return inPages(all, per)
}

func inPages[T any](all []T, per int) func(context.Context) iter.Seq2[[]T, error] {
	return func(context.Context) iter.Seq2[[]T, error] {
		return func(yield func([]T, error) bool) {
			for page := range slices.Chunk(all, per) {
				if !yield(page, nil) {
					return
				}
			}
		}
	}
}

// A sync of any two buckets, with any policy, does to the destination what a naive model does.
func TestApply_DoesWhatANaiveModelDoes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 60 {
		r := newRig(t)
		r.opts.Conflict = []Conflict{ConflictOverwrite, ConflictSkip}[random.IntN(2)]
		r.opts.DeleteForeign, r.opts.MaxDelete = random.IntN(2) == 0, new(1.0)
		model := map[string]string{}
		for i := range 15 {
			key, ours, theirs := fmt.Sprintf("k%02d", i), fmt.Sprint("v", random.IntN(3)), fmt.Sprint("v", random.IntN(3))
			inFrom, inTo := random.IntN(2) == 0, random.IntN(2) == 0
			if inFrom {
				r.from.write(t, key, ours)
			}
			if inTo {
				r.to.write(t, key, theirs)
			}
			switch {
			case inFrom && inTo && r.opts.Conflict == ConflictSkip:
				model[key] = theirs
			case inFrom:
				model[key] = ours
			case inTo && !r.opts.DeleteForeign:
				model[key] = theirs
			}
		}
		r.mustSync(t)
		got := map[string]string{}
		for _, key := range r.to.keys(t) {
			got[key] = r.to.text(t, key)
		}
		if fmt.Sprint(got) != fmt.Sprint(model) {
			t.Fatalf("%s, delete %v: the destination has %v, the model %v", r.opts.Conflict, r.opts.DeleteForeign, got, model)
		}
	}
}

func TestB19_SorterSpillsAndStaysInOrder(t *testing.T) {
	dir := t.TempDir()
	s := newSorter(dir, func(v [2]int) string { return fmt.Sprintf("%06d", v[0]) })
	s.hold = 10
	random := rand.New(rand.NewPCG(7, 7))
	const n = 5000 // 500 runs: merged on the way, because only 32 may be open
	for i := range n {
		if err := s.add([2]int{random.IntN(1000), i}); err != nil {
			t.Fatal(err)
		}
		if len(s.buf) > s.hold || len(s.runs) > sortRuns {
			t.Fatalf("%d entries in memory, %d files", len(s.buf), len(s.runs))
		}
	}
	for range 2 { // it can be read twice
		count, last := 0, [2]int{-1, -1}
		for v, err := range s.sorted() {
			if err != nil {
				t.Fatal(err)
			}
			if v[0] < last[0] || v[0] == last[0] && v[1] < last[1] {
				t.Fatalf("%v after %v", v, last)
			}
			last, count = v, count+1
		}
		if count != n {
			t.Fatalf("%d of %d entries", count, n)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Fatalf("%d files are left: %v", len(left), err)
	}
}

func TestManifest_LastWordCountsAndSurvivesATornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	from, to := bucket.Capabilities{URL: "s3://a"}, bucket.Capabilities{URL: "gs://b"}
	open := func() *manifest {
		m, err := openManifest(path, t.TempDir(), from, to)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	read := func(m *manifest) string {
		var out bytes.Buffer
		all, err := recordsIn(m, bucket.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			fmt.Fprintf(&out, "%q %s %s;", r.Key, r.State, r.Hash)
		}
		return out.String()
	}
	m := open()
	for _, r := range []Record{
		{Key: "b", State: StateIntent},
		{Key: "b", State: StateCopied, Hash: "sha256:1"},
		{Key: "a\xff", State: StateCopied, Hash: "sha256:2"},
		{Key: "c", State: StateCopied}, {Key: "c", State: StateForgotten},
	} {
		if err := m.add(r); err != nil {
			t.Fatal(err)
		}
	}
	const want = `"a\xff" copied sha256:2;"b" copied sha256:1;`
	if got := read(open()); got != want {
		t.Fatalf("with the log: %s", got)
	}
	if err := m.compact(); err != nil {
		t.Fatal(err)
	}
	if got := read(open()); got != want {
		t.Fatalf("after compaction: %s", got)
	}
	if _, err := os.Stat(path + ".log"); err == nil {
		t.Fatal("the log is still there")
	}
	for _, torn := range []string{`{"form`, `{"format":1,"from":"s3://a","to":"gs://b"}` + "\n" + `{"key":"b","state":"for`} {
		if err := os.WriteFile(path+".log", []byte(torn), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := read(open()); got != want {
			t.Fatalf("with a torn log: %s", got)
		}
		if err := open().compact(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openManifest(path, t.TempDir(), from, bucket.Capabilities{URL: "gs://other"}); !errors.Is(err, ErrOtherPlaces) {
		t.Fatalf("the manifest of another pair gives %v", err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw[:len(raw)-2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := recordsIn(open(), bucket.ListOptions{}); err == nil {
		t.Fatal("a cut manifest, which no kill leaves, was read")
	}
}

// recordsIn reads what a manifest has in a range.
func recordsIn(m *manifest, opts bucket.ListOptions) (all []Record, err error) {
	file, err := m.view()
	if err != nil {
		return nil, err
	}
	for page, err := range file.pages(opts) {
		if err != nil {
			return all, errors.Join(err, file.close())
		}
		all = append(all, page...)
	}
	return all, file.close()
}

// FuzzManifest: whatever is in the file, reading it ends without a panic, and the records that it yields read the same after being
// written again.
func FuzzManifest(f *testing.F) {
	header := `{"format":1,"from":"a","to":"b"}` + "\n"
	f.Add([]byte(header+`{"key":"k","state":"copied","source":{"etag":"e","size":3},"sha256":"00"}`+"\n"), true)
	f.Add([]byte(header+`{"key":"","rawKey":"/w==","state":"intent"}`+"\n"+`{"key":"torn`), true)
	f.Add([]byte(`{"format":3}`+"\n"), false)
	tabs := `{"format":2,"from":"a","to":"b"}` + "\n"
	f.Add([]byte(tabs+"a\\tb\\n\\\\\tcopied\te\tv\t3\t4\te\t\t3\t0\t00\t\t\tread\nk\tintent\t"), true)
	f.Fuzz(func(t *testing.T, raw []byte, torn bool) {
		var first []Record
		for r, err := range decodeRecords(bytes.NewReader(raw), torn) {
			if err != nil {
				break
			}
			first = append(first, r)
		}
		out := bytes.NewBufferString(`{"format":4,"from":"a","to":"b"}` + "\n")
		for _, r := range first {
			out.Write(appendRecord(nil, &r))
		}
		i := 0
		for r, err := range decodeRecords(out, false) {
			if err != nil {
				t.Fatal(err)
			}
			if r != first[i] {
				t.Fatalf("%+v is read as %+v", first[i], r)
			}
			i++
		}
		if i != len(first) {
			t.Fatalf("%d of %d records", i, len(first))
		}
	})
}

func TestListing_OutsideOfTheRangeIsAnError(t *testing.T) {
	r := newRig(t)
	r.from.write(t, "a", "1")
	outside := named{Bucket: r.from}
	for _, err := range listing(t.Context(), outside, bucket.ListOptions{}, true, t.TempDir()) {
		if err != nil {
			t.Fatal(err)
		}
	}
	failure := func(opts bucket.ListOptions, keys ...string) (got error) {
		var all []bucket.Object
		for _, key := range keys {
			all = append(all, bucket.Object{Key: key})
		}
		for _, got = range checked(inPages(all, 2)(t.Context()), opts) {
		}
		return got
	}
	for _, keys := range [][]string{{"b"}, {"a", "b"}, {"a", "a1", "a2", "b"}, {"", "a"}} {
		if failure(bucket.ListOptions{Prefix: "a"}, keys...) == nil {
			t.Errorf("of %q, a key outside of the range passed", keys)
		}
	}
	for _, keys := range [][]string{{"b", "b", "a"}, {"b", "a"}, {"a", "c", "b"}, {"a", "a", "b", "c", "b"}} {
		if err := failure(bucket.ListOptions{}, keys...); !errors.Is(err, errUnsorted) {
			t.Errorf("the inversion in %q gave %v", keys, err)
		}
	}
	if err := failure(bucket.ListOptions{Prefix: "a"}, "a", "a", "a", "ab", "ab", "ac"); err != nil {
		t.Errorf("doubles gave %v", err)
	}
}

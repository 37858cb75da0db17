package bucketsync

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/mend"
)

// writeManifest writes a sorted file of n records in a format.
func writeManifest(t testing.TB, path string, format, n int, record func(i int) Record) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(f)
	fmt.Fprintf(out, `{"format":%d,"from":"memory://blue","to":"memory://green"}`+"\n", format)
	var line []byte
	for i := range n {
		r := record(i)
		if format == formatJSON {
			if line, err = json.Marshal(r); err != nil {
				t.Fatal(err)
			}
			line = append(line, '\n')
		} else {
			line = appendRecord(line[:0], &r)
			if format < formatChecked {
				line = append(line[:len(line)-1-checkLength], '\n')
			}
		}
		if _, err := out.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// Any range of a manifest, in either format, is read as if the whole had been read and the range chosen from it.
func TestRecordFile_AnyRangeIsWhatItWouldBeOfTheWhole(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var keys []string
	for i := range 4000 {
		keys = append(keys, fmt.Sprintf("%c/%04x%s", 'a'+rune(i%3), random.IntN(1<<16), strings.Repeat("\t\\\n", random.IntN(3))))
	}
	keys = append(keys, "b", "b/", strings.Repeat("k", 1000), "c\xff", "\x00")
	slices.Sort(keys)
	keys = slices.Compact(keys)
	for _, format := range []int{formatJSON, formatTyped, formatChecked} {
		path := filepath.Join(t.TempDir(), "manifest")
		writeManifest(t, path, format, len(keys), func(i int) Record {
			return Record{Key: keys[i], State: StateCopied, Hash: "blake3:" + strings.Repeat("0", 64), Properties: strings.Repeat("x", 64)}
		})
		file, err := openRecords(path)
		if err != nil {
			t.Fatal(err)
		}
		if file.size < 3*chunk {
			t.Fatalf("a file of %d bytes is read at once: the test tests nothing", file.size)
		}
		pick := func() string {
			key := keys[random.IntN(len(keys))]
			return key[:random.IntN(len(key)+1)]
		}
		for range 300 {
			var opts bucket.ListOptions
			if random.IntN(2) == 0 {
				opts.Prefix = keys[random.IntN(len(keys))][:1]
			}
			if random.IntN(3) > 0 {
				opts.After = pick()
			}
			if random.IntN(3) > 0 {
				opts.Before = pick()
			}
			if len(opts.Prefix) > 0 && opts.Prefix[0] == 0xff {
				continue
			}
			var want, got []string
			for _, key := range keys {
				if opts.Holds(key) {
					want = append(want, key)
				}
			}
			for page, err := range file.pages(opts) {
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range page {
					got = append(got, r.Key)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("format %d, %+v: %d records of %d", format, opts, len(got), len(want))
			}
		}
		if err := file.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever a record has, it has after it was written and read again: a field that the line forgets would be lost with the next run.
func TestRecordFile_NoFieldIsForgotten(t *testing.T) {
	var r Record
	n := 0
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		for i := range v.NumField() {
			n++
			switch f := v.Field(i); f.Kind() { //nolint:exhaustive // a record has no other kinds
			case reflect.String:
				f.SetString(fmt.Sprintf("text\t%d\\\n", n))
			case reflect.Int64:
				f.SetInt(int64(n))
			case reflect.Struct:
				fill(f)
			default:
				t.Fatalf("a field of kind %s", f.Kind())
			}
		}
	}
	fill(reflect.ValueOf(&r).Elem())
	r.State = StateFound
	line := appendRecord(nil, &r)
	if bytes.Count(line, []byte("\n")) != 1 {
		t.Fatalf("%q is more than one line", line)
	}
	var again Record
	page, err := parseRecords(line, manifestFormat)
	if len(page) == 1 {
		again = page[0]
	}
	if err != nil || again != r {
		t.Fatalf("%+v is read as %+v, %v", r, again, err)
	}
}

// A manifest of an older format is read, what it proves stays proven, and it is written in the new one with the next change.
func TestRecordFile_AnOldManifestGoesOn(t *testing.T) {
	for _, format := range []int{formatJSON, formatTabs, formatTyped} {
		t.Run(fmt.Sprint(format), func(t *testing.T) { anOldManifestGoesOn(t, format) })
	}
}

func anOldManifestGoesOn(t *testing.T, format int) {
	r := newRig(t)
	r.opts.Hash = bucket.SHA256
	for i := range 30 {
		r.from.write(t, fmt.Sprintf("k%02d", i), "x")
	}
	r.mustSync(t)
	now := r.recorded(t)
	keys := slices.Sorted(func(yield func(string) bool) {
		for key := range now {
			if !yield(key) {
				return
			}
		}
	})
	writeManifest(t, r.opts.Manifest, format, len(keys), func(i int) Record {
		old := now[keys[i]]
		if format < formatTyped {
			old.Hash = bucket.ParseDigest(old.Hash).Value // as it was written before
		}
		return old
	})
	r.from.noDigests, r.to.noDigests, r.opts.Hash = true, true, bucket.BLAKE3
	if report := r.verify(t, ModeListing); !report.Equal || report.Evidence[Acknowledged] != 30 {
		t.Fatalf("%+v", report)
	}
	r.from.write(t, "k07", "changed")
	if result := r.mustSync(t); result.Copied != 1 || result.Skipped != 29 {
		t.Fatalf("%+v", result)
	}
	raw, err := os.ReadFile(r.opts.Manifest)
	after := r.recorded(t)
	if err != nil || !bytes.HasPrefix(raw, []byte(`{"format":4,`)) || len(after) != 30 {
		t.Fatalf("%.60q, %d records, %v", raw, len(after), err)
	}
	// Both hashes are in one manifest, each under its name: printf x | sha256sum, and printf changed | b3sum.
	if after["k06"].Hash != "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" ||
		after["k07"].Hash != "blake3:6a9f75eec6464a34f0a7967471bc2b468914240a1bd29215340487264cb279e2" {
		t.Fatalf("%+v, %+v", after["k06"], after["k07"])
	}
	if report := r.verify(t, ModeListing); !report.Equal {
		t.Fatalf("%+v", report)
	}
}

// Whichever bit of a line flips, and whatever stands in its place, no record is made of it, and what to do is said.
func TestRecordFile_NoFlippedBitIsBelieved(t *testing.T) {
	r := Record{Key: "k", State: StateCopied, Source: Seen{ETag: "e", Size: 3}, Destination: Seen{ETag: "f", Size: 3}, Hash: "blake3:00", Evidence: Read}
	line := appendRecord(nil, &r)
	header := `{"format":4,"from":"memory://blue","to":"memory://green"}` + "\n"
	refused := func(what string, line []byte) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "manifest")
		if err := os.WriteFile(path, append([]byte(header), line...), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, log := range []bool{false, true} { // a log's last line may be cut, but none may be wrong
			for got, err := range readRecords(path, log) {
				var told *mend.Error
				if !errors.As(err, &told) || !strings.Contains(told.Hint, "take it away and sync forward again") {
					t.Fatalf("%s: %+v, %v", what, got, err)
				}
			}
		}
		file, err := openRecords(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.close() }()
		if _, _, err := file.keyBehind(0); errors.Is(err, io.EOF) || err == nil {
			t.Fatalf("%s: halving the file believes it: %v", what, err)
		}
	}
	for at := range len(line) - 1 {
		for bit := range 8 {
			flipped := bytes.Clone(line)
			if flipped[at] ^= 1 << bit; flipped[at] != '\n' {
				refused(fmt.Sprintf("bit %d of byte %d", bit, at), flipped)
			}
		}
	}
	refused("garbage", []byte("garbage\n"))
	refused("an empty line", []byte("\n"))
	refused("a line of the format before", append(bytes.Clone(line[:len(line)-1-checkLength]), '\n'))
}

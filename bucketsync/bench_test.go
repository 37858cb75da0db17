package bucketsync

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"sort"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
)

// The benchmarks count a key as one operation. Compare two runs of
//
//	go test -run '^$' -bench 'Merge|Compare|Manifest' -count 6 ./bucketsync
//
// with benchstat.

// benchPage is shown again and again, with keys that ascend.
func benchPages(pages int) func(context.Context) iter.Seq2[[]bucket.Object, error] {
	return func(context.Context) iter.Seq2[[]bucket.Object, error] {
		return func(yield func([]bucket.Object, error) bool) {
			for i := range pages {
				if !yield(madePage(i*1000, 1000), nil) {
					return
				}
			}
		}
	}
}

const text0 = "dir-00000/object-00000000"

func appendPadded(to []byte, n, width int) []byte {
	to = append(to, "00000000"[:width]...)
	for at := len(to) - 1; n > 0; at-- {
		to[at] = byte('0' + n%10)
		n /= 10
	}
	return to
}

func madePage(first, n int) []bucket.Object {
	page := make([]bucket.Object, n)
	raw := make([]byte, 0, n*len(text0))
	for i := range page {
		raw = appendPadded(append(raw, "dir-"...), (first+i)/1000, 5)
		raw = appendPadded(append(raw, "/object-"...), first+i, 8)
	}
	text := string(raw)
	for i := range page {
		page[i] = bucket.Object{Key: text[i*len(text0) : (i+1)*len(text0)], Size: int64(i), ETag: "b1946ac92492d2347c6235b4d2611184"}
	}
	return page
}

func BenchmarkMerge(b *testing.B) {
	b.ReportAllocs()
	pages := b.N/1000 + 1
	m := openMerger(b.Context(), sources{src: benchPages(pages), dst: benchPages(pages), recs: nothing[Record]})
	defer m.close()
	count := 0
	if err := m.merge(func(*merger) string { return "" }, func(p pair) error {
		if compare(p) != unsure {
			b.Fatal("two objects of one tag are of one size, and nothing else is known of them")
		}
		count++
		return nil
	}); err != nil || count != pages*1000 {
		b.Fatal(count, err)
	}
}

// benchBucket lists made pages from any key on.
type benchBucket struct {
	bucket.Bucket
	n int
}

func (b benchBucket) Pages(ctx context.Context, opts bucket.ListOptions) iter.Seq2[[]bucket.Object, error] {
	return func(yield func([]bucket.Object, error) bool) {
		first := sort.Search(b.n, func(i int) bool { return madePage(i, 1)[0].Key > opts.After })
		for ; first < b.n && ctx.Err() == nil; first += 1000 {
			if !yield(madePage(first, min(1000, b.n-first)), nil) {
				return
			}
		}
	}
}

func BenchmarkCompare(b *testing.B) {
	b.ReportAllocs()
	blank, err := memory.Open(b.Context(), memory.Options{Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	n := max(b.N, 1)
	report, err := Verify(b.Context(), VerifyOptions{From: benchBucket{blank, n}, To: benchBucket{blank, n}, Mode: ModeSize})
	if err != nil || !report.Equal || report.Objects != int64(n) {
		b.Fatal(report, err)
	}
}

func BenchmarkManifest(b *testing.B) {
	for _, format := range []int{formatJSON, formatTyped, formatChecked} {
		b.Run(fmt.Sprintf("format=%d", format), func(b *testing.B) {
			r := Record{
				State: StateCopied, Source: Seen{ETag: "b1946ac92492d2347c6235b4d2611184", Size: 4096, Modified: 1_700_000_000},
				Destination: Seen{ETag: "b1946ac92492d2347c6235b4d2611184", Size: 4096, Modified: 1_700_000_000}, MD5: "b1946ac92492d2347c6235b4d2611184",
				Hash:       "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
				Properties: "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", Evidence: Acknowledged,
			}
			path := filepath.Join(b.TempDir(), "manifest")
			writeManifest(b, path, format, b.N, func(i int) Record {
				r.Key = fmt.Sprintf("dir-%05d/object-%09d", i/1000, i)
				return r
			})
			file, err := openRecords(path)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			count := 0
			for page, err := range file.pages(bucket.ListOptions{}) {
				if err != nil {
					b.Fatal(err)
				}
				count += len(page)
			}
			if err := file.close(); err != nil || count != b.N {
				b.Fatal(count, err)
			}
		})
	}
}

//go:build linux

package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
)

// Keys is what a comparison of synthetic keys took, in a process of its own.
type Keys struct {
	Pairs int64   `json:"pairs"`
	Rate  float64 `json:"rate"` // pairs a second
	// Early and Late are the most that was resident in the second fifth of the keys, when all is under way, and in the last; bytes.
	Early int64 `json:"early"`
	Late  int64 `json:"late"`
}

// CompareKeys compares two buckets of n synthetic keys by the engine, as `verify --mode size` does, and writes a line of JSON. The keys
// come in pages, as from a store, and are made on the way: they take no memory, and the time of making them is counted.
func CompareKeys(ctx context.Context, n int, to io.Writer) error {
	blank, err := memory.Open(ctx, memory.Options{Name: "synthetic"})
	if err != nil {
		return err
	}
	from := &made{Bucket: blank, name: "synthetic://from", n: n}
	other := &made{Bucket: blank, name: "synthetic://to", n: n}
	var result Keys
	stop := make(chan struct{})
	sampled := make(chan error, 1)
	go func() { sampled <- sample(from, &result, stop) }()
	began := time.Now()
	report, err := bucketsync.Verify(ctx, bucketsync.VerifyOptions{From: from, To: other, Mode: bucketsync.ModeSize})
	took := time.Since(began)
	close(stop)
	if err := errors.Join(err, <-sampled); err != nil {
		return err
	}
	if !report.Equal || report.Objects != int64(n) {
		return fmt.Errorf("%d of %d keys were compared, and the sides are equal: %t", report.Objects, n, report.Equal)
	}
	result.Pairs, result.Rate = report.Objects, float64(n)/took.Seconds()
	return json.NewEncoder(to).Encode(result)
}

// sample looks at what is resident while the keys are made.
func sample(from *made, result *Keys, stop <-chan struct{}) error {
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-stop:
			tick.Stop()
			return nil
		case <-tick.C:
		}
		raw, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			return err
		}
		fields := strings.Fields(string(raw))
		if len(fields) < 2 {
			return fmt.Errorf("read /proc/self/statm: %q", raw)
		}
		pages, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return err
		}
		resident := pages * int64(os.Getpagesize())
		switch done := from.shown.Load(); {
		case done < int64(from.n)/5:
		case done < int64(from.n)/5*2:
			result.Early = max(result.Early, resident)
		case done > int64(from.n)/5*4:
			result.Late = max(result.Late, resident)
		}
	}
}

// made is a bucket whose keys are made as they are listed.
type made struct {
	bucket.Bucket
	name  string
	n     int
	shown atomic.Int64
}

func (b *made) Describe() bucket.Capabilities {
	caps := b.Bucket.Describe()
	caps.URL = b.name
	return caps
}

// appendKey is the i-th key; keys ascend.
func (b *made) appendKey(to []byte, i int) []byte {
	to = append(to, "backup/dir-"...)
	to = appendPadded(to, i/1000, 6)
	to = append(to, "/object-"...)
	return appendPadded(to, i, 9)
}

func appendPadded(to []byte, n, width int) []byte {
	to = append(to, "0000000000"[:width]...)
	for at := len(to) - 1; n > 0; at-- {
		to[at] = byte('0' + n%10)
		n /= 10
	}
	return to
}

const keysPerPage = 1000

// Pages implements bucket.Pager.
func (b *made) Pages(ctx context.Context, opts bucket.ListOptions) iter.Seq2[[]bucket.Object, error] {
	return func(yield func([]bucket.Object, error) bool) {
		var key []byte
		first := sort.Search(b.n, func(i int) bool {
			key = b.appendKey(key[:0], i)
			return bytes.Compare(key, []byte(opts.After)) > 0
		})
		per := keysPerPage
		if opts.Limit > 0 {
			per = min(per, opts.Limit)
		}
		for ; first < b.n; first += per {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			page := b.page(first, min(first+per, b.n))
			if opts.Limit == 0 {
				b.shown.Add(int64(len(page)))
			}
			if !yield(page, nil) {
				return
			}
		}
	}
}

// page makes some objects; their keys are parts of one text.
func (b *made) page(first, end int) []bucket.Object {
	raw := make([]byte, 0, (end-first)*len("backup/dir-000000/object-000000000"))
	for i := first; i < end; i++ {
		raw = b.appendKey(raw, i)
	}
	text, width := string(raw), len(raw)/(end-first)
	page := make([]bucket.Object, end-first)
	for i := range page {
		page[i] = bucket.Object{Key: text[i*width : (i+1)*width], Size: int64(first + i), ETag: "b1946ac92492d2347c6235b4d2611184"}
	}
	return page
}

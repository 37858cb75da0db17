package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// A destination without objects that lies in the source under another name would be filled with copies of copies.
func TestB13_AnEmptyPlaceInItsSourceIsFoundOutByTheFirstWrite(t *testing.T) {
	r, _ := twoNames(t, "", "new/", "s3://data", "s3://alias/new/")
	r.opts.Concurrency = 1
	for i := range 50 {
		r.from.write(t, fmt.Sprintf("%02d", i), "x")
	}
	p := r.plan(t)
	result, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts)
	if !errors.Is(err, errOverlap) {
		t.Fatalf("%+v, %v", result, err)
	}
	if n := len(r.from.keys(t)); n > 52 { // a worker may have begun another
		t.Fatalf("%d objects are there", n)
	}
}

// busy is a destination while whose writes somebody writes to the source.
type busy struct {
	*fake
	put func(key string)
}

func (b busy) Put(ctx context.Context, key string, body io.Reader, size int64, opts bucket.PutOptions) (bucket.Object, error) {
	b.put(key)
	return b.fake.Put(ctx, key, body, size, opts)
}

// What was in the source before the write, and what has another length, is no sign.
func TestSync_KeysLikeThoseOfTheDestinationAreNoSignOfOnePlace(t *testing.T) {
	r := newRig(t)
	r.opts.From, r.opts.To = named{Bucket: r.from, url: "s3://data"}, named{Bucket: busy{r.to, func(key string) {
		r.from.write(t, "new/"+key, "of another length")
	}}, url: "s3://copy/more/new/"}
	r.opts.Concurrency = 1
	for _, key := range []string{"a", "b", "more/new/a"} {
		r.from.write(t, key, "x")
	}
	r.mustSync(t)
	if got := r.to.keys(t); !slices.Contains(got, "more/new/a") {
		t.Fatalf("%q", got)
	}
}

package body

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/internal/budget"
)

func TestB08_ABodyOfAnotherLengthIsAnError(t *testing.T) {
	for _, c := range []struct {
		text string
		size int64
		ok   bool
	}{{"", 0, true}, {"abc", 3, true}, {"abc", 4, false}, {"abc", 2, false}, {"", 1, false}, {"a", 0, false}} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "byte": iotest.OneByteReader, "late": iotest.DataErrReader,
		} {
			got, err := io.ReadAll(Exact(wrap(strings.NewReader(c.text)), c.size))
			if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrLength) {
				t.Errorf("%s: %q read as %d bytes gives %v", name, c.text, c.size, err)
			}
			if int64(len(got)) > c.size {
				t.Errorf("%s: %q read as %d bytes gives %d", name, c.text, c.size, len(got))
			}
		}
	}
}

func TestPartsSendEveryByteOnceInBoundedMemory(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 1000)
	plan := Plan{Size: int64(len(want)), PartSize: 97, Workers: 3}
	got := make([]byte, len(want))
	var mu sync.Mutex
	buffers := map[*byte]bool{}
	err := Parts(t.Context(), bytes.NewReader(want), plan, func(_ context.Context, p Part) error {
		mu.Lock()
		defer mu.Unlock()
		buffers[&p.Data[0]] = true
		copy(got[int64(p.Number-1)*plan.PartSize:], p.Data)
		return nil
	})
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("parts do not make up the body: %v", err)
	}
	if len(buffers) > plan.Workers {
		t.Fatalf("%d buffers for %d workers", len(buffers), plan.Workers)
	}
}

func TestPartsFailWithTheBodyAndWithASender(t *testing.T) {
	broken := errors.New("broken")
	send := func(context.Context, Part) error { return nil }
	for name, c := range map[string]struct {
		body io.Reader
		send func(context.Context, Part) error
		want error
	}{
		"short":  {strings.NewReader("abc"), send, ErrLength},
		"long":   {strings.NewReader("abcdefghijk"), send, ErrLength},
		"read":   {io.MultiReader(strings.NewReader("abcd"), iotest.ErrReader(broken)), send, broken},
		"sender": {strings.NewReader("abcdefghij"), func(context.Context, Part) error { return broken }, broken},
	} {
		err := Parts(t.Context(), c.body, Plan{Size: 10, PartSize: 2, Workers: 2}, c.send)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestPartsEndWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var sent atomic.Int32
	err := Parts(ctx, strings.NewReader("abcdefghij"), Plan{Size: 10, PartSize: 1, Workers: 1}, func(ctx context.Context, _ Part) error {
		if sent.Add(1) == 2 {
			cancel()
		}
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || sent.Load() > 2 {
		t.Fatalf("%d parts after the end of the context: %v", sent.Load(), err)
	}
}

func TestB11_PlanKeepsTheLimitOfParts(t *testing.T) {
	const mib = 1 << 20
	for _, size := range []int64{1, 8 * mib, 80_000 * mib, 80_000*mib + 1, 5 << 40} {
		plan := NewPlan(size, 8*mib, 10_000, 4)
		if parts := (size + plan.PartSize - 1) / plan.PartSize; parts > 10_000 {
			t.Errorf("%d bytes make %d parts", size, parts)
		}
		if plan.Workers > 1 && int64(plan.Workers)*plan.PartSize > maxBuffers {
			t.Errorf("%d bytes take %d buffers of %d", size, plan.Workers, plan.PartSize)
		}
	}
}

func TestB04_AnAnswerIsComparedWithThePin(t *testing.T) {
	pin := bucket.Object{ETag: "one", Version: "1", Size: 100}
	for name, c := range map[string]struct {
		opts   bucket.ReadOptions
		answer bucket.Object
		length int64
		ranged string
		want   int64
		err    error
	}{
		"whole":              {bucket.ReadOptions{Pin: pin}, pin, 100, "", 100, nil},
		"range":              {bucket.ReadOptions{Pin: pin, Offset: 10, Length: 20}, pin, 20, "bytes 10-29/100", 20, nil},
		"to the end":         {bucket.ReadOptions{Pin: pin, Offset: 10}, pin, 90, "bytes 10-99/100", 90, nil},
		"other ETag":         {bucket.ReadOptions{Pin: pin}, bucket.Object{ETag: "two", Version: "1"}, 100, "", 0, bucket.ErrPrecondition},
		"other version":      {bucket.ReadOptions{Pin: pin}, bucket.Object{ETag: "one", Version: "2"}, 100, "", 0, bucket.ErrPrecondition},
		"other size":         {bucket.ReadOptions{Pin: pin}, pin, 99, "", 0, ErrLength},
		"range ignored":      {bucket.ReadOptions{Pin: pin, Offset: 10, Length: 20}, pin, 100, "", 0, ErrLength},
		"other range":        {bucket.ReadOptions{Pin: pin, Offset: 10, Length: 20}, pin, 20, "bytes 0-19/100", 0, ErrLength},
		"shorter range":      {bucket.ReadOptions{Pin: pin, Offset: 10, Length: 20}, pin, 19, "bytes 10-28/100", 0, ErrLength},
		"range of other":     {bucket.ReadOptions{Pin: pin, Offset: 10, Length: 20}, pin, 20, "bytes 10-29/200", 0, ErrLength},
		"beyond the object":  {bucket.ReadOptions{Offset: 90, Length: 20}, pin, 10, "bytes 90-99/100", 0, bucket.ErrUnsupported},
		"nothing was pinned": {bucket.ReadOptions{}, bucket.Object{ETag: "two"}, 7, "", 7, nil},
	} {
		got, err := Answered(c.opts, &c.answer, c.length, c.ranged)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: got %d, %v, want %d, %v", name, got, err, c.want, c.err)
		}
	}
}

func TestB19_UploadsShareOneBudget(t *testing.T) {
	const partSize, room = 64 << 10, 4
	shared := budget.New(room * partSize)
	content := bytes.Repeat([]byte("0123456789abcdef"), 100<<10) // 25 parts
	var now, most atomic.Int64
	group, ctx := errgroup.WithContext(t.Context())
	for range 6 {
		group.Go(func() error {
			got := make([]byte, len(content))
			err := Parts(ctx, bytes.NewReader(content), Plan{Size: int64(len(content)), PartSize: partSize, Workers: 4, Budget: shared}, func(_ context.Context, p Part) error {
				n := now.Add(1)
				defer now.Add(-1)
				for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
					continue
				}
				_, err := io.ReadFull(p.Reader(), got[int64(p.Number-1)*partSize:][:len(p.Data)])
				return err
			})
			if err == nil && !bytes.Equal(got, content) {
				err = errors.New("parts hold bytes of other objects")
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if most.Load() > room {
		t.Errorf("%d parts were in memory, of %d that there is room for", most.Load(), room)
	}
}

func TestAPartIsNotReadAfterItsEnd(t *testing.T) {
	part, err := Whole(t.Context(), strings.NewReader("abc"), 3, nil, budget.New(10))
	if err != nil {
		t.Fatal(err)
	}
	late := part.Reader()
	if text, err := io.ReadAll(part.Reader()); err != nil || string(text) != "abc" {
		t.Fatalf("read %q: %v", text, err)
	}
	part.Done()
	if n, err := late.Read(make([]byte, 3)); n > 0 || !errors.Is(err, errDone) {
		t.Errorf("%d bytes are read after the end: %v", n, err)
	}
}

// BenchmarkParts cuts an object into parts of 8 MiB. What it allocates is per object, not per byte.
func BenchmarkParts(b *testing.B) {
	const size = 64 << 20
	shared := budget.New(32 << 20)
	content := make([]byte, size)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		err := Parts(b.Context(), bytes.NewReader(content), Plan{Size: size, PartSize: 8 << 20, Workers: 4, Budget: shared}, func(context.Context, Part) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
}

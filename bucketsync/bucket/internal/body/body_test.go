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

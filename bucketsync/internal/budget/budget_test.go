package budget

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

func TestB19_WhatIsUsedAndKeptStaysWithinTheBudget(t *testing.T) {
	const total = 1 << 20
	b := New(total)
	var used, peak atomic.Int64
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 500 {
				n := random.Int64N(total/2) + 1
				buffer, release, err := b.Buffer(t.Context(), n)
				if err != nil || int64(len(buffer)) != n {
					t.Errorf("%d of %d bytes: %v", len(buffer), n, err)
					return
				}
				now := used.Add(int64(cap(buffer)))
				for most := peak.Load(); now > most && !peak.CompareAndSwap(most, now); most = peak.Load() {
					continue
				}
				within(t, b)
				used.Add(-int64(cap(buffer)))
				release()
				release() // once is enough
				within(t, b)
			}
		})
	}
	group.Wait()
	if peak.Load() > total {
		t.Errorf("%d bytes were handed out, of %d", peak.Load(), total)
	}
	if b.used != 0 || b.kept == 0 {
		t.Errorf("%d bytes are still used, %d kept", b.used, b.kept)
	}
}

func TestBuffersAreUsedAgain(t *testing.T) {
	b := New(64 << 10)
	first, release, err := b.Buffer(t.Context(), 30<<10)
	if err != nil {
		t.Fatal(err)
	}
	release()
	second, _, err := b.Buffer(t.Context(), 29<<10)
	if err != nil || &first[0] != &second[0] {
		t.Errorf("a buffer that was given back is not used for a similar size: %v", err)
	}
}

func TestWhatIsLargerThanTheBudgetGetsItAlone(t *testing.T) {
	b := New(100)
	_, release, err := b.Buffer(t.Context(), 5000)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waits := make(chan error)
	go func() {
		_, err := b.Reserve(ctx, 1)
		waits <- err
	}()
	cancel()
	if err := <-waits; !errors.Is(err, context.Canceled) {
		t.Errorf("a second gets room beside it: %v", err)
	}
	if release(); b.kept > 0 {
		t.Errorf("%d bytes of it are kept, of 100", b.kept)
	}
	if _, err := b.Reserve(t.Context(), 100); err != nil {
		t.Error(err)
	}
}

func TestClassesWasteLessThanAQuarter(t *testing.T) {
	for n := int64(4 << 10); n < 64<<20; n += n/7 + 1 {
		if size := class(n); size < n || size > n+n/4 {
			t.Errorf("%d bytes take %d", n, size)
		}
	}
}

func BenchmarkBuffer(b *testing.B) {
	memory := New(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		_, release, err := memory.Buffer(b.Context(), 4<<10)
		if err != nil {
			b.Fatal(err)
		}
		release()
	}
}

func within(t *testing.T, b *Budget) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+b.kept > b.total {
		t.Errorf("%d bytes are used and %d kept, of %d", b.used, b.kept, b.total)
	}
}

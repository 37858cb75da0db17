// Package budget bounds the memory of objects under way, and keeps the buffers that it hands out for the next objects.
//
//	Buffer ── waits for room ──> one that is kept and fits, else a new one ── release ──> kept for the next
//
// Whoever holds a buffer must be able to end without another one: then somebody always ends, and all who wait get theirs.
package budget

import (
	"context"
	"math/bits"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Budget is so much memory. It may be used by several goroutines. It implements bucket.Budget.
type Budget struct {
	total int64
	room  *semaphore.Weighted

	mu   sync.Mutex
	used int64              // handed out
	kept int64              // in free
	free map[int64][][]byte // buffers by class
}

// New returns a budget of total bytes.
func New(total int64) *Budget {
	total = max(total, 1)
	return &Budget{total: total, room: semaphore.NewWeighted(total), free: map[int64][][]byte{}}
}

// Total is its size in bytes.
func (b *Budget) Total() int64 { return b.total }

// Reserve implements bucket.Budget.
func (b *Budget) Reserve(ctx context.Context, n int64) (release func(), err error) {
	weight := min(n, b.total)
	if err := b.room.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	b.take(weight, 0)
	return sync.OnceFunc(func() { b.give(weight, nil) }), nil
}

// Buffer implements bucket.Budget.
func (b *Budget) Buffer(ctx context.Context, n int64) (buffer []byte, release func(), err error) {
	size := class(n)
	weight := min(size, b.total)
	if err := b.room.Acquire(ctx, weight); err != nil {
		return nil, nil, err
	}
	if buffer = b.take(weight, size); buffer == nil {
		buffer = make([]byte, size)
	}
	return buffer[:n], sync.OnceFunc(func() { b.give(weight, buffer) }), nil
}

// take enters what there is room for, and returns a kept buffer of a size, or nil. It lets go of others that are kept until all is
// within the budget.
func (b *Budget) take(weight, size int64) (buffer []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += weight
	buffer = b.pop(size)
	for other := range b.free {
		for b.used+b.kept > b.total && b.pop(other) != nil {
			continue
		}
	}
	return buffer
}

func (b *Budget) pop(size int64) (buffer []byte) {
	list := b.free[size]
	if len(list) == 0 {
		return nil
	}
	last := len(list) - 1
	buffer, list[last] = list[last], nil
	b.free[size] = list[:last]
	b.kept -= size
	return buffer
}

func (b *Budget) give(weight int64, buffer []byte) {
	b.mu.Lock()
	b.used -= weight
	if size := int64(cap(buffer)); buffer != nil && b.used+b.kept+size <= b.total {
		b.free[size] = append(b.free[size], buffer[:size])
		b.kept += size
	}
	b.mu.Unlock()
	b.room.Release(weight)
}

// class rounds a size up, by less than a quarter, so that objects of similar sizes can use each other's buffers.
func class(n int64) int64 {
	const least = 4 << 10
	if n <= least {
		return least
	}
	unit := int64(1) << (bits.Len64(uint64(n-1)) - 3)
	return (n + unit - 1) / unit * unit
}

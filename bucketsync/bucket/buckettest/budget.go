package buckettest

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// checkBudget writes objects in parts side by side, with so little memory that they have to wait for each other.
func checkBudget(t *testing.T, d Driver) {
	b := fresh(t, d)
	memory := &counted{room: make(chan struct{}, 2)}
	group, ctx := errgroup.WithContext(t.Context())
	content := func(i int) []byte { return data(uint64(i), 4*d.PartSize+1) }
	keys := []string{"one", "two", "three"}
	for i, key := range keys {
		group.Go(func() error {
			_, err := b.Put(ctx, key, bytes.NewReader(content(i)), 4*d.PartSize+1, bucket.PutOptions{Budget: memory})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		wantContent(t, b, key, content(i))
	}
	put(t, b, "whole", data(9, d.PartSize), bucket.PutOptions{Budget: memory})
	wantContent(t, b, "whole", data(9, d.PartSize))
	memory.mu.Lock()
	defer memory.mu.Unlock()
	if memory.asked < len(keys)+1 {
		t.Errorf("memory was asked for %d times, by %d objects", memory.asked, len(keys)+1)
	}
	if len(memory.room) > 0 {
		t.Errorf("%d buffers were not given back", len(memory.room))
	}
}

// counted is a budget of so many buffers. It spoils what is given back.
type counted struct {
	room chan struct{}

	mu    sync.Mutex
	asked int
}

// Buffer implements bucket.Budget.
func (c *counted) Buffer(ctx context.Context, n int64) ([]byte, func(), error) {
	release, err := c.Reserve(ctx, n)
	if err != nil {
		return nil, nil, err
	}
	buffer := make([]byte, n)
	return buffer, sync.OnceFunc(func() {
		clear(buffer)
		release()
	}), nil
}

// Reserve implements bucket.Budget.
func (c *counted) Reserve(ctx context.Context, _ int64) (func(), error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case c.room <- struct{}{}:
	}
	c.mu.Lock()
	c.asked++
	c.mu.Unlock()
	return sync.OnceFunc(func() { <-c.room }), nil
}

// Package parts reads the parts of a bucket's configuration side by side.
package parts

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Reader reads one part. Fill enters what was read; it is called by one goroutine at a time.
type Reader struct {
	Part bucket.Part
	Read func(ctx context.Context) (fill func(*bucket.Configuration), err error)
}

// atOnce bounds requests; a bucket has few parts.
const atOnce = 8

// Read calls all readers. One that fails with ErrDenied or ErrUnsupported makes its part unreadable (I8); a nil fill is an
// absent part; any other error is returned, wrapped by fail.
func Read(ctx context.Context, readers []Reader, fail func(error) error) (bucket.Configuration, error) {
	var mu sync.Mutex
	var c bucket.Configuration
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, r := range readers {
		group.Go(func() error {
			fill, err := r.Read(gctx)
			err = fail(err)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, bucket.ErrDenied):
				c.Unread(r.Part, bucket.WhyDenied, "the credentials may not read it")
			case errors.Is(err, bucket.ErrUnsupported):
				c.Unread(r.Part, bucket.WhyUnsupported, "the server does not know the request")
			case err != nil:
				return err
			case fill != nil:
				fill(&c)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return bucket.Configuration{}, err
	}
	if _, ok := c.Unreadable[bucket.PartPublicAccess]; ok {
		c.PublicAccess = nil // what one of its readers has read says nothing without the others
	}
	return c, nil
}

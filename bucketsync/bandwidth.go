package bucketsync

import (
	"context"
	"io"
	"iter"

	"golang.org/x/time/rate"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/clock"
)

// narrow bounds how many bytes a second are read from a bucket. What is copied is read first, so that as many are written at most.
type narrow struct {
	bucket.Bucket
	clock   clock.Clock
	limiter *rate.Limiter
}

// mostAtOnce bounds what is read at once, so that the rate holds over short times too.
const mostAtOnce = 256 << 10

// newLimiter returns a limiter of bytes a second, or nil where there is no bound.
func newLimiter(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytesPerSecond), int(max(1, min(bytesPerSecond/4, mostAtOnce))))
}

// through puts a bucket behind a limiter, which several buckets may share.
func through(b bucket.Bucket, limiter *rate.Limiter, c clock.Clock) bucket.Bucket {
	if limiter == nil {
		return b
	}
	return narrow{b, c, limiter}
}

// Open implements bucket.Reader.
func (n narrow) Open(ctx context.Context, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	body, obj, err := n.Bucket.Open(ctx, key, opts)
	if err != nil {
		return nil, obj, err
	}
	return &slowBody{ReadCloser: body, ctx: ctx, by: n}, obj, nil
}

// Pages implements bucket.Pager, as well as the bucket below does. Listings are small beside objects and are not held.
func (n narrow) Pages(ctx context.Context, opts bucket.ListOptions) iter.Seq2[[]bucket.Object, error] {
	return bucket.Pages(ctx, n.Bucket, opts)
}

// slowBody is read as fast as a limiter allows.
type slowBody struct {
	io.ReadCloser
	ctx context.Context //nolint:containedctx // that of the Open that the body came from
	by  narrow
}

// Read implements io.Reader.
func (s *slowBody) Read(p []byte) (int, error) {
	p = p[:min(len(p), s.by.limiter.Burst())]
	n, err := s.ReadCloser.Read(p)
	if n == 0 {
		return n, err
	}
	now := s.by.clock.Now()
	if serr := s.by.clock.Sleep(s.ctx, s.by.limiter.ReserveN(now, n).DelayFrom(now)); serr != nil {
		return n, serr
	}
	return n, err
}

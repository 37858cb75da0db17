package bucketsync

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/clock"
)

const (
	maxTries   = 6
	firstPause = 200 * time.Millisecond
	maxPause   = 15 * time.Second
)

// transient reports whether the same request may succeed a moment later. What is not known to be of the moment is not.
func transient(err error) bool {
	if err == nil {
		return false
	}
	for _, permanent := range []error{
		context.Canceled, context.DeadlineExceeded,
		bucket.ErrNotExist, bucket.ErrPrecondition, bucket.ErrUnsupported, bucket.ErrDenied, bucket.ErrIrregular,
	} {
		if errors.Is(err, permanent) {
			return false
		}
	}
	var exhausted *exhaustedError
	if errors.As(err, &exhausted) {
		return false
	}
	// An EOF that comes out of a request is the end of its connection before there was an answer. A connection is found closed where
	// reading its answer failed first, while the body was still being written.
	for _, passing := range []error{
		bucket.ErrSlowDown, bucket.ErrDigest, io.ErrUnexpectedEOF, io.EOF, net.ErrClosed, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ECONNABORTED, syscall.EPIPE, syscall.ETIMEDOUT,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	var status interface{ HTTPStatusCode() int }
	if errors.As(err, &status) {
		code := status.HTTPStatusCode()
		return code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= http.StatusInternalServerError
	}
	var temporary interface{ Temporary() bool }
	if errors.As(err, &temporary) && temporary.Temporary() {
		return true
	}
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// patience waits longer after each try of a request: exponential, with full jitter.
type patience struct {
	clock  clock.Clock
	log    *slog.Logger
	strain *strain
	asked  func(op string, took time.Duration, err error) // nil tells nobody
	of     *outage                                        // of the store that it is with; nil where it is with either
}

// timed makes a request and tells how long it took.
func (p patience) timed(op string, request func() error) error {
	began := p.clock.Now()
	err := request()
	now := p.clock.Now()
	p.of.saw(now, err)
	if p.asked != nil {
		p.asked(op, now.Sub(began), err)
	}
	return err
}

// again reports whether to try once more after the given try (from 1) failed with err, and waits before it says so.
func (p patience) again(ctx context.Context, try int, op, key string, err error) bool {
	if try >= maxTries || !transient(err) {
		return false
	}
	if now := p.clock.Now(); p.strain.source.lasts(now) || p.strain.destination.lasts(now) {
		return false
	}
	p.strain.retries.Add(1)
	if errors.Is(err, bucket.ErrSlowDown) {
		p.strain.slow.Add(1)
	}
	ceiling := min(firstPause<<(try-1), maxPause)
	pause := rand.N(ceiling) + time.Millisecond
	p.log.LogAttrs(ctx, slog.LevelWarn, "store failed for the moment; trying again",
		slog.String("op", op), slog.String("key", key), slog.Int("try", try), slog.Duration("pause", pause), slog.Any("error", err))
	return p.clock.Sleep(ctx, pause) == nil
}

func (p patience) do(ctx context.Context, op, key string, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil || !transient(err) {
			return err
		}
		if !p.again(ctx, try, op, key, err) {
			return &exhaustedError{err}
		}
	}
}

// exhaustedError is a failure of a request that was repeated often enough. What the request is part of is not repeated for
// it: a dead store would be asked for each object as often as both allow, multiplied.
type exhaustedError struct{ error }

// Unwrap returns the failure.
func (e *exhaustedError) Unwrap() error { return e.error }

// retrying repeats requests of a bucket that failed for the moment. Put is not among them: its body can be read only
// once, so the copy as a whole is repeated.
type retrying struct {
	bucket.Bucket
	patience patience
}

func (r retrying) List(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Object, error] {
	if r.Describe().Order != bucket.ByBytes {
		return r.Bucket.List(ctx, opts) // there is no point from which an unordered listing could go on
	}
	return func(yield func(bucket.Object, error) bool) {
		for try := 1; ; try++ {
			var failure error
			for obj, err := range r.Bucket.List(bucket.OneCall(ctx), opts) {
				if err != nil {
					failure = err
					break
				}
				if !yield(obj, nil) {
					return
				}
				if obj.Key > opts.After {
					opts.After, try = obj.Key, 1
				}
			}
			if failure == nil {
				return
			}
			if !r.patience.again(ctx, try, "list", opts.After, failure) {
				yield(bucket.Object{}, failure)
				return
			}
		}
	}
}

// Pages implements bucket.Pager: whether the store below is one, asks who wants to know.
func (r retrying) Pages(ctx context.Context, opts bucket.ListOptions) iter.Seq2[[]bucket.Object, error] {
	if _, ok := r.Bucket.(bucket.Pager); !ok || r.Describe().Order != bucket.ByBytes {
		return bucket.Paged(r.List(ctx, opts))
	}
	return func(yield func([]bucket.Object, error) bool) {
		for try := 1; ; try++ {
			var failure error
			began := r.patience.clock.Now()
			for page, err := range bucket.Pages(bucket.OneCall(ctx), r.Bucket, opts) {
				if r.patience.asked != nil {
					r.patience.asked("list", r.patience.clock.Now().Sub(began), err)
				}
				if err != nil {
					failure = err
					break
				}
				last := page[len(page)-1].Key // the page is the caller's from here on
				if !yield(page, nil) {
					return
				}
				began = r.patience.clock.Now()
				if last > opts.After {
					opts.After, try = last, 1
				}
			}
			if failure == nil {
				return
			}
			if errors.Is(failure, bucket.ErrUnordered) || !r.patience.again(ctx, try, "list", opts.After, failure) {
				yield(nil, failure)
				return
			}
		}
	}
}

// ask makes a request, again where that may help.
func (r retrying) ask(ctx context.Context, op, key string, request func() error) error {
	return r.patience.do(ctx, op, key, func() error { return r.patience.timed(op, request) })
}

// Put is not repeated: see retrying.
func (r retrying) Put(ctx context.Context, key string, body io.Reader, size int64, opts bucket.PutOptions) (obj bucket.Object, err error) {
	err = r.patience.timed("put", func() error {
		obj, err = r.Bucket.Put(bucket.OneCall(ctx), key, body, size, opts)
		return err
	})
	return obj, err
}

func (r retrying) Head(ctx context.Context, key string) (obj bucket.Object, err error) {
	err = r.ask(ctx, "head", key, func() error {
		obj, err = r.Bucket.Head(bucket.OneCall(ctx), key)
		return err
	})
	return obj, err
}

func (r retrying) Open(ctx context.Context, key string, opts bucket.ReadOptions) (body io.ReadCloser, obj bucket.Object, err error) {
	err = r.ask(ctx, "open", key, func() error {
		body, obj, err = r.Bucket.Open(bucket.OneCall(ctx), key, opts)
		return err
	})
	return body, obj, err
}

func (r retrying) Delete(ctx context.Context, obj bucket.Object) error {
	return r.ask(ctx, "delete", obj.Key, func() error { return r.Bucket.Delete(bucket.OneCall(ctx), obj) })
}

func (r retrying) Check(ctx context.Context) error {
	return r.ask(ctx, "check", "", func() error { return r.Bucket.Check(bucket.OneCall(ctx)) })
}

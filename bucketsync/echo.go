package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/mend"
)

// Objects tell nothing where the destination holds none: one that lies in the source under a name of its own would be filled with
// copies of its copies for ever. So with the first object that is written there, the source is asked for what that would be in it: a
// key that was not there before the write and is after it, with as many bytes, is the write itself.

// echo is asked for once in a run; nil is never.
type echo struct{ heard atomic.Bool }

const echoShifts = 4 // beginnings of keys that are tried

// errOverlap ends a run at once.
var errOverlap = errors.New("source and destination overlap")

// echoes are the beginnings of keys below which the destination may lie in the source.
func (e *engine) echoes() []string {
	all := shiftsOf(e.toCaps.URL, e.fromCaps.URL)
	return all[:min(len(all), echoShifts)]
}

// listen looks which keys the source does not have before the first write. What it returns looks for them after it. What cannot be
// asked for tells nothing.
func (e *engine) listen(ctx context.Context, key string) func(ctx context.Context, size int64) error {
	if e.echo == nil || e.echo.heard.Swap(true) {
		return func(context.Context, int64) error { return nil }
	}
	var absent []string
	for _, before := range e.echoes() {
		if unfit(bucket.Object{Key: before + key}, e.fromCaps) != "" {
			continue
		}
		if _, err := e.from.Head(ctx, before+key); errors.Is(err, bucket.ErrNotExist) {
			absent = append(absent, before)
		}
	}
	return func(ctx context.Context, size int64) error {
		for _, before := range absent {
			if o, err := e.from.Head(ctx, before+key); err == nil && o.Size == size {
				return &mend.Error{
					Op:  "copy " + fmt.Sprintf("%q", key),
					Err: fmt.Errorf("%w: what was written to %s as %q is at the source too, as %q", errOverlap, e.toCaps.URL, key, before+key), Hint: overlapMend + "; what this run has written is below " + fmt.Sprintf("%q", before) + " of the source",
				}
			}
		}
		return nil
	}
}

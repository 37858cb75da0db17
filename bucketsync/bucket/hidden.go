package bucket

import (
	"context"
	"iter"
	"strings"
)

// Hider is the optional ability to tell what lies where the driver keeps things of its own, and is none of them.
type Hider interface {
	// Hidden yields it by the keys that it would have elsewhere. No listing shows them, and no other method reaches them. An error is its last.
	Hidden(ctx context.Context) iter.Seq2[string, error]
}

// Hidden is what the place of a bucket, or of a part of one, hides; nothing where its driver is no Hider.
func Hidden(ctx context.Context, b Bucket) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		h, ok := whole(b).(Hider)
		if !ok {
			return
		}
		for key, err := range h.Hidden(ctx) {
			below, inside := within(b, key)
			if (inside || err != nil) && !yield(below, err) {
				return
			}
		}
	}
}

// within is what is left of a key of the whole bucket in a part of it.
func within(b Bucket, key string) (string, bool) {
	s, ok := b.(interface{ part() *sub })
	if !ok {
		return key, true
	}
	key, ok = within(s.part().Bucket, key)
	if !ok {
		return "", false
	}
	return strings.CutPrefix(key, s.part().prefix)
}

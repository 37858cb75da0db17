package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// nesting finds, in keys that come in the order of their bytes, those that lie below another: a/b below a. It holds only keys
// that the last one begins with.
type nesting struct{ above []nested }

type nested struct {
	key string
	new bool // the source has it
}

const nestedWords = "it lies below another object, as a/b below a, and the destination cannot hold both, or hides one"

// add takes the next pair and reports whether its key lies below one that came before, and not both are the destination's own.
func (n *nesting) add(p pair) bool {
	for len(n.above) > 0 && !strings.HasPrefix(p.key, n.above[len(n.above)-1].key) {
		n.above = n.above[:len(n.above)-1]
	}
	now := nested{key: p.key, new: p.src != nil}
	below := false
	for _, a := range n.above {
		if (a.new || now.new) && !strings.HasSuffix(a.key, "/") && strings.HasPrefix(p.key, a.key+"/") {
			below = true
		}
	}
	if p.src != nil || p.dst != nil {
		n.above = append(n.above, now)
	}
	return below
}

// seekAbove looks for the keys in front of a span below which keys of it may lie. They are what the key before the span begins
// with, up to a sign that does not come behind a slash.
func (e *engine) seekAbove(ctx context.Context, s *span) error {
	for n := 1; n <= len(s.after); n++ {
		if n < len(s.after) && s.after[n] > '/' {
			continue
		}
		key := s.after[:n]
		if !strings.HasPrefix(key, e.opts.Prefix) || strings.HasSuffix(key, "/") || !e.opts.Filter.takes(key) {
			continue
		}
		p := pair{key: key}
		src, err := e.from.Head(ctx, key)
		if err == nil {
			p.src = &src
		} else if !none(err) {
			return fmt.Errorf("look at %q at the source: %w", key, err)
		}
		dst, err := e.to.Head(ctx, key)
		if err == nil {
			p.dst = &dst
		} else if !none(err) {
			return fmt.Errorf("look at %q at the destination: %w", key, err)
		}
		s.above.add(p)
	}
	return nil
}

// none reports that there is no object, nor can be.
func none(err error) bool {
	return errors.Is(err, bucket.ErrNotExist) || errors.Is(err, bucket.ErrUnsupported) || errors.Is(err, bucket.ErrIrregular)
}

package s3page

import (
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Within leaves of a page of an ordered listing what lies in the range, and says whether the range ends in it. Where strict is
// set, a key in front of the range is an error: the store was asked to begin behind After, and to show nothing without Prefix.
func Within(page []bucket.Object, opts bucket.ListOptions, strict bool) (in []bucket.Object, ended bool, err error) {
	first := 0
	for first < len(page) && !opts.Holds(page[first].Key) && !opts.Ends(page[first].Key) {
		if strict {
			return nil, false, fmt.Errorf("%q in a listing of prefix %q after %q: %w", page[first].Key, opts.Prefix, opts.After, bucket.ErrUnordered)
		}
		first++
	}
	page = page[first:]
	for i := range page {
		switch key := page[i].Key; {
		case opts.Ends(key):
			return page[:i], true, nil
		case opts.Holds(key):
		case strict:
			return nil, false, fmt.Errorf("%q in a listing of prefix %q after %q: %w", key, opts.Prefix, opts.After, bucket.ErrUnordered)
		default:
			return slices.DeleteFunc(page, func(o bucket.Object) bool { return !opts.Holds(o.Key) }), false, nil
		}
	}
	return page, false, nil
}

// Chosen leaves of a page of a listing in no order what lies in the range.
func Chosen(page []bucket.Object, opts bucket.ListOptions) []bucket.Object {
	return slices.DeleteFunc(page, func(o bucket.Object) bool { return !opts.Holds(o.Key) })
}

package body

import (
	"fmt"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Answered compares what a store answered to a read with what was asked for, fills in the object's size, and returns
// the number of bytes that the body must have. It does not take the store's word for the pin (B4): a server that
// does not know conditions would answer with another object.
func Answered(opts bucket.ReadOptions, obj *bucket.Object, contentLength int64, contentRange string) (int64, error) {
	if pin := opts.Pin; pin.ETag != "" && pin.ETag != obj.ETag || pin.Version != "" && pin.Version != obj.Version {
		return 0, bucket.ErrPrecondition
	}
	obj.Size = contentLength
	first := int64(0)
	if opts.Offset > 0 || opts.Length > 0 {
		var last int64
		if _, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &first, &last, &obj.Size); err != nil {
			return 0, fmt.Errorf("%w: the answer to a range has the Content-Range %q", ErrLength, contentRange)
		}
	}
	if opts.Pin.Size > 0 && obj.Size != opts.Pin.Size {
		return 0, fmt.Errorf("%w: the answer is of an object of %d bytes, the pinned one has %d", ErrLength, obj.Size, opts.Pin.Size)
	}
	_, want, err := opts.Range(obj.Size)
	if err != nil {
		return 0, err
	}
	if first != opts.Offset || contentLength >= 0 && contentLength != want {
		return 0, fmt.Errorf("%w: %d bytes from %d on, wanted %d from %d on", ErrLength, contentLength, first, want, opts.Offset)
	}
	return want, nil
}

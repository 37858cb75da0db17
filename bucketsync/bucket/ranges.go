package bucket

import (
	"fmt"
	"strings"
)

// Holds says whether a key lies in the range.
func (o ListOptions) Holds(key string) bool {
	return strings.HasPrefix(key, o.Prefix) && (o.After == "" || key > o.After) && !o.Ends(key)
}

// Ends says that a key lies behind the range: where keys come in order, no later one is in it.
func (o ListOptions) Ends(key string) bool {
	return o.Before != "" && key >= o.Before || key > o.Prefix && !strings.HasPrefix(key, o.Prefix)
}

// Range gives the bytes that the options choose of an object of the given size. An offset behind the end is an error,
// and so is a length that reaches beyond it.
func (o ReadOptions) Range(size int64) (start, length int64, err error) {
	length = o.Length
	if length == 0 {
		length = size - o.Offset
	}
	if o.Offset < 0 || length < 0 || o.Offset+length > size {
		return 0, 0, fmt.Errorf("read %d bytes from %d on of an object of %d: %w", o.Length, o.Offset, size, ErrUnsupported)
	}
	return o.Offset, length, nil
}

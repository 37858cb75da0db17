package body

import (
	"errors"
	"fmt"
	"io"
)

// ErrLength says that a body was shorter or longer than it was said to be.
var ErrLength = errors.New("wrong length of body")

// Exact returns a reader of exactly size bytes of r. Where r holds fewer or more, the read that finds it out fails with
// ErrLength; the end of the body is reported only after r's own end was seen.
func Exact(r io.Reader, size int64) io.Reader {
	return &exact{r: r, size: size, left: size}
}

// Answer is Exact for the body of a store's answer (B8).
func Answer(body io.ReadCloser, size int64) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{Exact(body, size), body}
}

type exact struct {
	r          io.Reader
	size, left int64
}

func (e *exact) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if e.left == 0 {
		return 0, e.end()
	}
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	n, err := e.r.Read(p)
	e.left -= int64(n)
	if err == nil || errors.Is(err, io.EOF) && e.left == 0 {
		return n, nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: ends after %d of %d bytes: %w", ErrLength, e.size-e.left, e.size, io.ErrUnexpectedEOF)
	}
	return n, err
}

// end reads on until the underlying reader says that it has ended too.
func (e *exact) end() error {
	var probe [1]byte
	for range 100 {
		n, err := e.r.Read(probe[:])
		if n > 0 {
			return fmt.Errorf("%w: goes on after %d bytes", ErrLength, e.size)
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

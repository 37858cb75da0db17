package body

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"hash"
	"io"

	"golang.org/x/sync/errgroup"
)

// Part is one part of an upload. Its data is valid until the function that it was handed to returns.
type Part struct {
	Number int // from 1
	Data   []byte
	MD5    [md5.Size]byte // for the store to check (B3)
}

// Plan says how a body is cut.
type Plan struct {
	Size     int64
	PartSize int64
	Workers  int
}

// maxBuffers bounds the memory of one upload, unless a single part needs more.
const maxBuffers = 64 << 20

// NewPlan cuts size bytes into at most maxParts parts of at least partSize bytes.
func NewPlan(size, partSize int64, maxParts, workers int) Plan {
	const unit = 1 << 20
	if least := (size + int64(maxParts) - 1) / int64(maxParts); least > partSize {
		partSize = (least + unit - 1) / unit * unit
	}
	for workers > 1 && int64(workers)*partSize > maxBuffers {
		workers--
	}
	return Plan{Size: size, PartSize: partSize, Workers: workers}
}

// Parts reads r to its end and hands its parts to send, in up to plan.Workers goroutines, with one buffer each. It
// returns after all of them did. An error of any, or a body of another length, is an error of the whole.
func Parts(ctx context.Context, r io.Reader, plan Plan, send func(ctx context.Context, part Part) error) error {
	r = Exact(r, plan.Size)
	group, ctx := errgroup.WithContext(ctx)
	buffers := make(chan []byte, plan.Workers)
	for range plan.Workers {
		buffers <- nil
	}
	read := func() error {
		left := plan.Size
		for number := 1; left > 0; number++ {
			var buffer []byte
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case buffer = <-buffers:
			}
			length := min(left, plan.PartSize)
			if int64(cap(buffer)) < length {
				buffer = make([]byte, length)
			}
			buffer = buffer[:length]
			if _, err := io.ReadFull(r, buffer); err != nil {
				return fmt.Errorf("read part %d: %w", number, err)
			}
			left -= length
			group.Go(func() error {
				err := send(ctx, Part{Number: number, Data: buffer, MD5: md5.Sum(buffer)})
				buffers <- buffer
				return err
			})
		}
		return AtEnd(r)
	}
	// The reader runs in the group, so that its error stops the senders.
	group.Go(read)
	return group.Wait()
}

// Whole reads a body that is small enough to be sent at once.
func Whole(r io.Reader, size int64) (Part, error) {
	r = Exact(r, size)
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return Part{}, err
	}
	return Part{Number: 1, Data: data, MD5: md5.Sum(data)}, AtEnd(r)
}

// AtEnd says that r has nothing more, or why it may have.
func AtEnd(r io.Reader) error {
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Reader returns the part's data, which an SDK can read again for a retry.
func (p Part) Reader() *bytes.Reader { return bytes.NewReader(p.Data) }

// Hash hashes what is read through it.
type Hash struct {
	io.Reader
	sum hash.Hash
}

// NewHash returns a reader of r that computes its MD5.
func NewHash(r io.Reader) *Hash {
	sum := md5.New()
	return &Hash{Reader: io.TeeReader(r, sum), sum: sum}
}

// Sum is the MD5 of what was read.
func (h *Hash) Sum() []byte { return h.sum.Sum(nil) }

// Check compares the sum with the one that the caller gave; nil is not compared.
func (h *Hash) Check(want []byte) error {
	return CheckMD5(h.Sum(), want)
}

// ErrMD5 says that a body is not the one that its caller meant.
var ErrMD5 = errors.New("MD5 of the body is not the given one")

// CheckMD5 compares two sums; a nil want is not compared.
func CheckMD5(have, want []byte) error {
	if want != nil && !bytes.Equal(have, want) {
		return fmt.Errorf("%w: have %x, want %x", ErrMD5, have, want)
	}
	return nil
}

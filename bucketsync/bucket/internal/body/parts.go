package body

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/minio/crc64nvme"
	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Part is one part of an upload. Its data is valid until the function that it was handed to returns.
type Part struct {
	Number int // from 1
	Data   []byte
	md5    []byte
}

// MD5 is the part's, for the store to check (B3).
func (p Part) MD5() []byte {
	if p.md5 != nil {
		return p.md5
	}
	sum := md5.Sum(p.Data)
	return sum[:]
}

// CRC64NVME is the part's, in the order of bytes in which headers have it.
func (p Part) CRC64NVME() []byte {
	sum := crc64nvme.New()
	_, _ = sum.Write(p.Data) // a hash takes every write
	return sum.Sum(nil)
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
				err := send(ctx, Part{Number: number, Data: buffer})
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

// Whole reads a body that is small enough to be sent at once. Sum is its MD5 where the caller knows it: the store that gets it
// with the bytes finds out whether it is.
func Whole(r io.Reader, size int64, sum []byte) (Part, error) {
	if held, ok := r.(bucket.Held); ok {
		data := held.Held()
		if int64(len(data)) != size {
			return Part{}, fmt.Errorf("%w: %d bytes are held of %d", ErrLength, len(data), size)
		}
		return Part{Number: 1, Data: data, md5: sum}, nil
	}
	r = Exact(r, size)
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return Part{}, err
	}
	return Part{Number: 1, Data: data, md5: sum}, AtEnd(r)
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

// Hash knows the digests of what is read through it: those that its body knows, and else the MD5, which it computes.
type Hash struct {
	io.Reader
	known bucket.Hashed // nil where sum is computed
	sum   hash.Hash
}

// NewHash returns a reader of r that knows its digests. Where demand is set, MD5 is among them.
func NewHash(r io.Reader, demand bool) *Hash {
	if known, ok := r.(bucket.Hashed); ok && !demand {
		return &Hash{Reader: r, known: known}
	}
	sum := md5.New()
	return &Hash{Reader: io.TeeReader(r, sum), sum: sum}
}

// Sum is the MD5 of what was read. It is nil where it was neither demanded nor needed.
func (h *Hash) Sum() []byte {
	if h.sum == nil {
		return nil
	}
	return h.sum.Sum(nil)
}

// Digests are those of what was read.
func (h *Hash) Digests() []bucket.Digest {
	if h.known != nil {
		return h.known.Digests()
	}
	return []bucket.Digest{{Algorithm: bucket.MD5, Value: hex.EncodeToString(h.Sum())}}
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

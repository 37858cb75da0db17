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
	"sync"

	"github.com/minio/crc64nvme"
	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/internal/budget"
)

// Part is one part of an upload. Its data is valid until Done, which whoever got the part from Whole calls, and Parts by itself.
type Part struct {
	Number int // from 1
	Data   []byte
	md5    []byte
	lease  *lease
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
	// Budget is where the buffers come from. Nil means maxBuffers for this upload.
	Budget bucket.Budget
	// Before is how many parts lie before the body.
	Before int
	// Read is called after each part was read, before it is sent and before the next is read; nil is nothing.
	Read func(number int) error
}

// first is the byte at which the body begins.
func (p Plan) first() int64 { return min(p.Size, int64(p.Before)*p.PartSize) }

// Length is how many bytes a part has, from number 1 on; 0 where there is none.
func (p Plan) Length(number int) int64 {
	return max(0, min(p.PartSize, p.Size-int64(number-1)*p.PartSize))
}

// memory is the budget, or one of this upload's own.
func (p Plan) memory() bucket.Budget {
	if p.Budget != nil {
		return p.Budget
	}
	return budget.New(max(maxBuffers, p.PartSize))
}

// maxBuffers bounds the memory of one upload that shares no budget, unless a single part needs more.
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

// Parts reads r to its end and hands its parts to send, in up to plan.Workers goroutines, each with a buffer from the budget. It
// returns after all of them did. An error of any, or a body of another length, is an error of the whole.
func Parts(ctx context.Context, r io.Reader, plan Plan, send func(ctx context.Context, part Part) error) error {
	left := plan.Size - plan.first()
	r = Exact(r, left)
	memory := plan.memory()
	group, ctx := errgroup.WithContext(ctx)
	workers := make(chan struct{}, plan.Workers)
	read := func() error {
		for number := plan.Before + 1; left > 0; number++ {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case workers <- struct{}{}:
			}
			length := min(left, plan.PartSize)
			buffer, release, err := memory.Buffer(ctx, length)
			if err != nil {
				return fmt.Errorf("wait for memory for part %d: %w", number, err)
			}
			if _, err := io.ReadFull(r, buffer); err != nil {
				release()
				return fmt.Errorf("read part %d: %w", number, err)
			}
			left -= length
			part := Part{Number: number, Data: buffer, lease: &lease{release: release}}
			if plan.Read != nil {
				if err := plan.Read(number); err != nil {
					part.Done()
					return err
				}
			}
			group.Go(func() error {
				defer func() { <-workers }()
				defer part.Done()
				return send(ctx, part)
			})
		}
		return AtEnd(r)
	}
	// The reader runs in the group, so that its error stops the senders.
	group.Go(read)
	return group.Wait()
}

// Whole reads a body that is small enough to be sent at once. Sum is its MD5 where the caller knows it: the store that gets it
// with the bytes finds out whether it is. The caller calls Done on the part.
func Whole(ctx context.Context, r io.Reader, size int64, sum []byte, memory bucket.Budget) (Part, error) {
	if held, ok := r.(bucket.Held); ok {
		data := held.Held()
		if int64(len(data)) != size {
			return Part{}, fmt.Errorf("%w: %d bytes are held of %d", ErrLength, len(data), size)
		}
		return Part{Number: 1, Data: data, md5: sum, lease: &lease{}}, nil
	}
	part := Part{Number: 1, md5: sum, lease: &lease{}}
	if memory == nil {
		part.Data = make([]byte, size)
	} else {
		var err error
		if part.Data, part.lease.release, err = memory.Buffer(ctx, size); err != nil {
			return Part{}, fmt.Errorf("wait for memory: %w", err)
		}
	}
	r = Exact(r, size)
	_, err := io.ReadFull(r, part.Data)
	if err == nil {
		err = AtEnd(r)
	}
	if err != nil {
		part.Done()
		return Part{}, err
	}
	return part, nil
}

// AtEnd says that r has nothing more, or why it may have.
func AtEnd(r io.Reader) error {
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Done gives the part's memory back. What still reads the part, an answered request's goroutine that was not told to stop, say,
// gets an error from then on and not the bytes of another object.
func (p Part) Done() {
	if p.lease != nil {
		p.lease.end()
	}
}

// Reader returns the part's data, which an SDK can read again for a retry.
func (p Part) Reader() io.ReadSeeker { return &reader{part: p} }

// lease is the right to read a part's data.
type lease struct {
	mu      sync.RWMutex
	over    bool
	release func()
}

func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over = true; l.release != nil {
		l.release()
	}
}

// errDone says that a part was read after its end.
var errDone = errors.New("the part is done with")

// reader reads a part while its lease lasts.
type reader struct {
	part Part
	at   int64
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	l := r.part.lease
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case l.over:
		return 0, errDone
	case r.at >= int64(len(r.part.Data)):
		return 0, io.EOF
	}
	n := copy(p, r.part.Data[r.at:])
	r.at += int64(n)
	return n, nil
}

// Seek implements io.Seeker.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += int64(len(r.part.Data))
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning of a part")
	}
	r.at = offset
	return offset, nil
}

// Hash knows the digests of what is read through it: those that its body knows, and else the MD5, which it computes.
type Hash struct {
	io.Reader
	known bucket.Hashed // nil where sum is computed
	sum   hash.Hash
}

// NewHash returns a reader of r that knows its digests. Where demand is set, MD5 is among them.
func NewHash(r io.Reader, demand bool) *Hash {
	if known, ok := r.(bucket.Hashed); ok && (!demand || md5Of(known) != nil) {
		return &Hash{Reader: r, known: known}
	}
	sum := md5.New()
	return &Hash{Reader: io.TeeReader(r, sum), sum: sum}
}

// md5Of is the MD5 that a body knows of itself, or nil.
func md5Of(known bucket.Hashed) []byte {
	for _, d := range known.Digests() {
		if raw, err := hex.DecodeString(d.Value); d.Algorithm == bucket.MD5 && err == nil {
			return raw
		}
	}
	return nil
}

// Sum is the MD5 of what was read. It is nil where it was neither demanded nor known.
func (h *Hash) Sum() []byte {
	if h.sum == nil {
		return md5Of(h.known)
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

// CheckMD5 compares two sums, and says with bucket.ErrDigest that they differ; a nil want is not compared.
func CheckMD5(have, want []byte) error {
	if want != nil && !bytes.Equal(have, want) {
		return fmt.Errorf("%w: MD5 %x, and not %x", bucket.ErrDigest, have, want)
	}
	return nil
}

package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Head implements bucket.Reader.
func (b *Bucket) Head(ctx context.Context, key string) (bucket.Object, error) {
	obj, err := b.head(ctx, key)
	return obj, b.fail("head", key, err)
}

func (b *Bucket) head(ctx context.Context, key string) (bucket.Object, error) {
	root, err := b.open()
	if err != nil {
		return bucket.Object{}, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return bucket.Object{}, err
		}
		at, err := b.find(root, key)
		if err != nil {
			return bucket.Object{}, err
		}
		obj := describe(key, at)
		modes, err := modesOf(root, at)
		if absent(err) {
			continue // it went, or moves, meanwhile
		}
		if err != nil {
			return bucket.Object{}, err
		}
		beside, err := readSidecar(root, key, stampOf(at.info))
		if err != nil {
			return bucket.Object{}, err
		}
		if beside != nil {
			obj.Properties = beside.properties()
			obj.Properties.Modes = modes
			return obj, nil
		}
		// No sidecar: there is none, or it went with an overwrite since the file was looked at.
		if again, err := b.find(root, key); err == nil && again.etag == obj.ETag {
			obj.Properties = &bucket.Properties{Modes: modes}
			return obj, nil
		}
	}
}

// Open implements bucket.Reader.
func (b *Bucket) Open(ctx context.Context, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	body, obj, err := b.read(ctx, key, opts)
	if err != nil {
		return nil, bucket.Object{}, b.fail("open", key, err)
	}
	return body, obj, nil
}

func (b *Bucket) read(ctx context.Context, key string, opts bucket.ReadOptions) (*reading, bucket.Object, error) {
	root, err := b.open()
	if err != nil {
		return nil, bucket.Object{}, err
	}
	file, at, err := b.openFile(ctx, root, key)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	obj := describe(key, at)
	start, length, err := opts.Range(obj.Size)
	if opts.Pin.ETag != "" && opts.Pin.ETag != obj.ETag {
		err = bucket.ErrPrecondition
	}
	if err != nil {
		return nil, bucket.Object{}, errors.Join(err, file.Close())
	}
	return &reading{ctx: ctx.Err, file: file, section: io.NewSectionReader(file, start, length), left: length, stamp: stampOf(at.info)}, obj, nil
}

// openFile opens the file of a key, wherever it moves meanwhile.
func (b *Bucket) openFile(ctx context.Context, root *os.Root, key string) (*os.File, place, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, place{}, err
		}
		at, err := b.find(root, key)
		if err != nil {
			return nil, place{}, err
		}
		file, err := root.OpenFile(at.rel, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe that took its place is not waited for
		if absent(err) {
			continue
		}
		if err != nil {
			return nil, place{}, err
		}
		info, err := file.Stat()
		if err == nil && etag(info) == etag(at.info) {
			return file, at, nil
		}
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, place{}, err
		}
	}
}

// reading reads a range and finds out at its end whether another program wrote into the file meanwhile (B4).
type reading struct {
	ctx     func() error
	file    *os.File
	section *io.SectionReader
	left    int64
	stamp   string
}

func (r *reading) Read(p []byte) (int, error) {
	if err := r.ctx(); err != nil {
		return 0, fmt.Errorf("read %s: %w", r.file.Name(), err)
	}
	if r.left == 0 {
		return 0, r.end()
	}
	n, err := r.section.Read(p)
	r.left -= int64(n)
	switch {
	case r.left == 0:
		if err := r.end(); !errors.Is(err, io.EOF) {
			return 0, err
		}
		return n, nil
	case errors.Is(err, io.EOF):
		// The file became shorter.
		return n, fmt.Errorf("read %s: %w", r.file.Name(), bucket.ErrPrecondition)
	}
	return n, err
}

func (r *reading) end() error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	// When it was changed last does not count here: an overwrite, which leaves this file its bytes, changes that too. Who wrote into
	// it and put its time back is seen by the next listing.
	if stampOf(info) != r.stamp {
		return fmt.Errorf("read %s: %w: it was written to meanwhile", r.file.Name(), bucket.ErrPrecondition)
	}
	return io.EOF
}

func (r *reading) Close() error { return r.file.Close() }

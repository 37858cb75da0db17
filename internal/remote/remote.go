package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// Sentinels of a Store, found with errors.Is. None of them is of the moment: asking again gives the same answer.
var (
	ErrNotExist = errors.New("does not exist")
	// ErrConflict says that the condition of a write or a delete no longer held.
	ErrConflict = errors.New("somebody else has written it")
	// ErrRefused says that the store does not allow the request, or cannot do it.
	ErrRefused = errors.New("refused by the store")
)

// Version is a store's opaque name of one state of an object.
type Version string

// Absent is the condition that there is no object of the name yet.
const Absent Version = ""

// Reader reads.
type Reader interface {
	// Get returns an object's content, which the caller closes, and the version that it is of; ErrNotExist where there is none.
	Get(ctx context.Context, name string) (io.ReadCloser, Version, error)
	// List returns the names that begin with prefix, sorted. It is complete, or an error.
	List(ctx context.Context, prefix string) ([]string, error)
}

// Writer writes, and never over what it has not seen.
type Writer interface {
	// Put stores size bytes of body under name, if the object still has the version (Absent: if there is none), else it
	// returns ErrConflict and leaves the object as it is. It returns the version that it made.
	Put(ctx context.Context, name string, body io.ReadSeeker, size int64, seen Version) (Version, error)
	// Delete removes the object if it still has the version. That it is gone already is not an error.
	Delete(ctx context.Context, name string, seen Version) error
}

// Store is a place for files. Names are relative and use slashes. It is safe for concurrent use.
type Store interface {
	Reader
	Writer
}

// MaxSmall bounds what Read takes into memory, in bytes: a chunk of the journal, a plan, a lease.
const MaxSmall = 256 << 20

// Read returns the whole of a small object.
func Read(ctx context.Context, s Reader, name string) ([]byte, Version, error) {
	body, version, err := s.Get(ctx, name)
	if err != nil {
		return nil, "", err
	}
	raw, err := io.ReadAll(io.LimitReader(body, MaxSmall+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, "", fmt.Errorf("read %s: %w", name, err)
	}
	if len(raw) > MaxSmall {
		return nil, "", fmt.Errorf("read %s: it has more than %d bytes", name, MaxSmall)
	}
	return raw, version, nil
}

// Create stores an object that is never changed. That it is there already with this very content is no error: an earlier
// try may have been answered too late. With any other content it is an ErrConflict.
func Create(ctx context.Context, s Store, name string, data []byte) error {
	_, err := s.Put(ctx, name, bytes.NewReader(data), int64(len(data)), Absent)
	if !errors.Is(err, ErrConflict) {
		return err
	}
	have, _, rerr := Read(ctx, s, name)
	if rerr != nil {
		return errors.Join(err, rerr)
	}
	if bytes.Equal(have, data) {
		return nil
	}
	return err
}

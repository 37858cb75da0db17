package archive

import (
	"context"
	"errors"
)

// ErrNotExist says that a store has nothing under a name.
var ErrNotExist = errors.New("does not exist in the archive")

// Limits on what is read, so that a hostile archive cannot fill the memory.
const (
	// MaxBlob is the largest blob in bytes: an object of etcd is far below it, payloads are cut into pieces.
	MaxBlob = 64 << 20
	// MaxIndex is the largest index in bytes.
	MaxIndex = 512 << 20
	// maxTar is the largest content of a single-file archive, in bytes: it is held in memory.
	maxTar = 2 << 30
)

// Store is where an archive's files are. Names are relative, with slashes. Methods may be called from several goroutines.
type Store interface {
	// Put writes the whole of data under name, or nothing.
	Put(ctx context.Context, name string, data []byte) error
	// Get returns what is under name, or ErrNotExist. It refuses what is larger than MaxIndex.
	Get(ctx context.Context, name string) ([]byte, error)
	// List returns the names that begin with prefix, in any order. A list without an error is complete.
	List(ctx context.Context, prefix string) ([]string, error)
}

// Durable is the optional ability of a Store whose Put alone does not survive a power cut.
type Durable interface {
	// Settle returns once all that was put before is durable.
	Settle(ctx context.Context) error
	// Finish is Settle at the end of a revision: nothing follows.
	Finish(ctx context.Context) error
}

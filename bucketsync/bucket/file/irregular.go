package file

import (
	"fmt"
	"io/fs"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// irregularError is what lies in the place of an object and is none.
type irregularError struct {
	key, rel string
	info     fs.FileInfo
}

// Error names it as it is in the directory.
func (e *irregularError) Error() string {
	return fmt.Sprintf("%v: %s is %s (remove it, or put in its place what it stands for)", bucket.ErrIrregular, e.rel, irregular(e.info.Mode()))
}

// Unwrap returns what callers know.
func (e *irregularError) Unwrap() error { return bucket.ErrIrregular }

// shown is what a listing has of it.
func (e *irregularError) shown() bucket.Object {
	return bucket.Object{Key: e.key, ETag: etag(e.info), Modified: e.info.ModTime(), Irregular: irregular(e.info.Mode())}
}

// irregular names what is neither a file nor a directory.
func irregular(mode fs.FileMode) bucket.Irregular {
	switch {
	case mode&fs.ModeSymlink != 0:
		return bucket.SymbolicLink
	case mode&fs.ModeNamedPipe != 0:
		return bucket.NamedPipe
	case mode&fs.ModeSocket != 0:
		return bucket.Socket
	case mode&fs.ModeDevice != 0:
		return bucket.Device
	}
	return bucket.OtherKind
}

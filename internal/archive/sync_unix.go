//go:build unix

package archive

import (
	"errors"
	"io/fs"
	"os"
)

// syncPath makes a file or a folder durable. One that is gone has nothing to keep.
func syncPath(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

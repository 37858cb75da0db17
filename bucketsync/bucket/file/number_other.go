//go:build !unix

package file

import (
	"errors"
	"io/fs"
)

// number is not to be had from a FileInfo here: size and time tell files apart.
func number(fs.FileInfo) uint64 { return 0 }

// absent says that a path is not there.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

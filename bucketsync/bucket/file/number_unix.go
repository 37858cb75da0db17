//go:build unix

package file

import (
	"errors"
	"io/fs"
	"syscall"
)

// number is the file's own number in its file system.
func number(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino) //nolint:unconvert // its type differs between systems
	}
	return 0
}

// absent says that a path is not there; a file in the place of one of its directories means the same.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

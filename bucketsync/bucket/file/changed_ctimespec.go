//go:build darwin || freebsd || netbsd

package file

import (
	"io/fs"
	"syscall"
)

// changed is when the file, its times or its links were changed last, in nanoseconds: the system sets it, and nobody can put it back.
func changed(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ctimespec.Nano()
	}
	return 0
}

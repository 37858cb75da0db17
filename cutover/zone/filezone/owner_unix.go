//go:build unix

package filezone

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a file the owner of another, as far as this user may: a name server reads the file by its owner or its
// group, and one that cannot any more says so when it loads it.
func keepOwner(f *os.File, like fs.FileInfo) {
	if stat, ok := like.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(stat.Uid), int(stat.Gid)) // not for everybody
	}
}

//go:build linux || darwin

package space

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Free returns the bytes that this user may still write below a path.
func Free(path string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, fmt.Errorf("look for room at %s: %w", path, err)
	}
	return st.Bavail * uint64(st.Bsize), nil
}

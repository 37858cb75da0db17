//go:build unix

package journal

import (
	"fmt"
	"os"
	"syscall"
)

// place tells the lock file at a path from every copy of it that is there at the same time: its device and its number there.
func place(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return path, nil
	}
	return fmt.Sprintf("%d:%d", stat.Dev, stat.Ino), nil
}

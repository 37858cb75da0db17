//go:build !windows

package journal

import (
	"errors"
	"fmt"
	"os"
)

// syncDir makes the names in a directory durable: a new file is not there after a crash until its directory is flushed.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("flush %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("flush %s: %w", dir, err)
	}
	return nil
}

//go:build !unix

package journal

import "path/filepath"

// place tells the lock file at a path from every copy of it that is there at the same time: by where it is.
func place(path string) (string, error) { return filepath.Abs(path) }

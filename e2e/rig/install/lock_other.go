//go:build !unix

package install

import (
	"context"
	"errors"
	"os"
)

// lockFile fails: the rig does not run here.
func lockFile(context.Context, *os.File, func()) error {
	return errors.ErrUnsupported
}

//go:build !linux

package nodeflows

import (
	"fmt"
	"runtime"
)

// Read is for Linux, on which nodes run.
func Read() ([]Flow, error) {
	return nil, fmt.Errorf("list connection tracking: %s has none; run it on a Linux node", runtime.GOOS)
}

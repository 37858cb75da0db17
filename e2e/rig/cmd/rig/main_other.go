//go:build !linux

// Rig brings the demo's world up; it does so on Linux only.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "rig: clusters with real pods run on Linux only")
	os.Exit(1)
}

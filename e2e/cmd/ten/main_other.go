//go:build !linux

// Command ten needs Linux: it runs real clusters in network namespaces.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "ten: it runs real clusters in network namespaces, so it needs Linux")
	os.Exit(1)
}

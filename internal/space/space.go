// Package space says how much room a file system has left.
package space

import "errors"

// ErrUnknown says that the system does not tell.
var ErrUnknown = errors.New("this system does not tell how much room is left")

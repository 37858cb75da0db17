//go:build !faults

package main

import "github.com/crossfade-project/crossfade"

// arm arms nothing: only a build with the tag faults can be told to break.
func arm(*crossfade.Options) error { return nil }

// Package image builds container images from nothing but this project's own Go programs: compile them statically,
// put them into one layer, write a tar that containerd imports. No registry and no base image is asked for.
//
//	Spec (name, packages) -> go build -> layer -> image -> tar with one or more names
//
// The result is the same byte for byte when the programs are, since times and owners are fixed.
package image

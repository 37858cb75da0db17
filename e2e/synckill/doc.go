// Package synckill kills `crossfade sync FROM TO` at random moments and at chosen requests, runs it again, and looks at
// what is there with a client that is not the drivers'.
//
//	command ──┬─ front ──> source: a fake S3
//	          └─ front ──> destination: a fake S3, MinIO, or a directory
//
// The fronts see every request whole: they know which parts were stored by whom, and the one at which the command is to be killed
// kills it before it is carried out, after, or when it has been answered. What they have begun they carry out to its end,
// as a server does whose client has gone.
//
// A trial has converged when both sides hold the same bytes and properties, every part of every large object was stored once, small ones
// were written again only where they were on their way, no upload is unfinished, and no temporary file is left.
package synckill

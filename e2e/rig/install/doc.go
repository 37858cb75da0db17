// Package install brings the programs that the rig runs onto a Debian machine: Debian's packages, Go programs and
// Kubernetes itself built from the Go module proxy, and a few Node programs from npm.
//
// Every version is pinned, every result is cached, and asking a second time costs a few milliseconds:
//
//	ask -> is the stamp of exactly this version in the cache? -- yes -> path
//	                     | no
//	          take the file lock of this one item, look again
//	                     |
//	          say what is done and how long it may take
//	                     |
//	          build, write the stamp last -> path
//
// A build that is killed leaves no stamp and is taken up again, from Go's own build cache. Two processes that ask at
// once build once: the second waits for the first one's lock.
//
// The cache is $CROSSFADE_RIG_CACHE, or crossfade-rig in the user's cache folder.
package install

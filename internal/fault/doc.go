// Package fault stops or holds the program at a point that a test names, where a machine could lose power or a user could
// kill it: at a record of the journal.
//
//	          before          torn             after
//	            │               │                │
//	… record N−1│ half of record N's line │ record N, flushed │ record N+1 …
//
// Nothing can be armed in an ordinary build: no code of it asks for a fault, and a nil *Points writes and does nothing else.
// The command that is built with the tag faults reads the point from its environment (cmd/crossfade/faults.go).
package fault

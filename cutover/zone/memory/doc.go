// Package memory is a zone in memory, for examples and tests. It keeps the whole contract of package zone, so that a
// test with it proves what it would prove with a name server: conditions, fences, types that cannot stand beside one
// another, wildcards.
package memory

// Package program makes the programs that a migration file names: hooks, checks, notifications. One that is ended takes the
// children that it has started along, so that none goes on freezing, checking or telling after its time.
package program

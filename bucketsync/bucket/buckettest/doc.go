// Package buckettest holds the one suite that every driver of a store must pass, and a wrapper that injects faults.
//
//	Run(t, Driver)  every check against one store
//	Checks()        the checks one by one; those of an acceptance criterion begin with its number
//	NewFaulty       a bucket that fails on purpose, for tests of what lies above the drivers
//
// The tests of this package run the suite against memory, a directory and real servers.
package buckettest

// Package remote is a place beside this machine for the files of a migration's state: a part of an object store, seen through
// the few requests that the journal and the lease need. Every write is conditional, so that of two writers one is refused.
//
//	journal, lease ── Store ── Patient (bounded retries, with the reason said) ── the façade's adaptor ── a bucket
//
// The package holds no driver: whoever has a bucket adapts it. Memory is the one for tests.
package remote

// Package hook runs what a migration file declares as hooks, on one side: a request to every pod or to a URL, a program
// on this machine, a merge patch of an object. A patch keeps what it replaced, so that it is undone exactly.
//
//	Before ──> what a patch will replace (kept in the plan, on disk, before the change)
//	Run    ──> Outcome
//	Probe  ──> every pod refused a write, or an error that names the one that did not
//	Undo   ──> the replaced fields as they were, absent and null told apart
package hook

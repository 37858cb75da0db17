// Package export reads blue: it enumerates the applications' objects and writes them into the archive, and it stops blue's
// writes when an application's turn has come (freeze, quiesce) and allows them again (thaw).
//
//	discovery ─┐
//	           ├─> survey ── assign ── drop what is made again ──> archive revision ──> verified (a gate)
//	listings ──┘      └── references ──> CRDs, cluster roles, classes, volumes (as information)
//
//	PlanFreeze ──> originals on disk ──> ApplyFreeze ──> … ──> Thaw: every spec as it was
//
// Objects are archived as they were read, without managedFields: status stays, since restore decides by it (a finished Job
// never runs again), and uid stays, since owners are named by it. What a server owns is stripped when an object is restored.
// What a freeze or a quiesce changed is archived with its value from before (K2).
package export

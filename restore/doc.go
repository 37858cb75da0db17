// Package restore writes green: it takes a revision of the archive, makes green's objects of blue's, and brings them to
// green in the order in which they refer to each other, each with one write. What could act before its turn waits in the
// dark: workloads at 0 replicas, jobs suspended, or an application running read-only.
//
//	archive ─ fate ─ convert ─ strip ─ map ─ patch ─ bind ─ darken ─> objects ─ order ─> levels
//	                                                                     │
//	green now ───────────────────── compare ─────────────────────────────┴──> Plan ──> Apply ──> ready
//
//	PlanStart: replicas and suspend as archived, hooks, jobs last      PlanStop: the way back into the dark
//
// A plan holds no contents: Apply makes each object again from the archive and refuses when that gives another one. All
// that is made carries the label crossfade.dev/migration and the hash of its content in crossfade.dev/content, so that a
// resumed run knows its own work from anybody else's, which it never touches unless told so.
package restore

// Package notify tells others of events of a migration: a webhook or a command gets one JSON document each.
//
//	Message ──> Target.Send ── 2xx or exit status 0 ──> told
//	                │
//	                └─ no answer, 429, 5xx ──> again, a few times; anything else is final
//
// A message may arrive more than once: after a kill it is sent again with the same ID, by which receivers drop doubles. Nothing
// waits for it, and its failure fails nothing.
package notify

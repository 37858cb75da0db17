// Package configuration says what becomes of a bucket's configuration at another provider (B18). It asks nobody: what goes in is
// what was read, what comes out is what is to be written, what is lost, what is refused, and who has to be made for the other side.
//
//	what the source has ─┐                 ┌─> Apply: what the destination gets, part by part
//	both ends ───────────┼─ Map: by part ──┼─> Entries: kept, mapped, lost or unknown, each with why
//	keys by name ────────┘                 ├─> Refusals: what must be decided first
//	                                       └─> Identities: whom the policy names, and what to make for green
//
// Three rules stand above the tables of the single parts:
//
//   - Green is never more public than blue. Where a switch above the bucket may keep blue private, which no request for the bucket
//     tells, a statement that lets everybody in is not carried.
//   - A rule that deletes is carried only if it deletes the same or later. One whose condition the destination cannot express is lost
//     as a whole: without it, more would be deleted.
//   - What could not be read is not absent (I8).
package configuration

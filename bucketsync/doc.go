// Package bucketsync clones a bucket, or a range of its keys, from one object store to another.
//
// Objects are found by merging two sorted listings, and copied with pinned reads and conditional writes: a copy is one
// version of the source, never a mix (B4), and never replaces what somebody else wrote in the meantime (B5). Every byte is
// hashed on the way, and what the destination acknowledges is compared with that. Properties are carried, mapped, or entered
// in the loss ledger (I5). What this migration did not create at the destination is left alone (I3): a manifest, kept beside the
// journal, says what it did create, and lets the next run notice a same-size overwrite on either side without a request
// per object (B6).
//
//	source listing ──┐                       ┌─ same ──────> nothing to do
//	                 ├─ merge by key ─ compare ─ copy ─────> Head, Open (pinned), hash, Put (conditional), prove ─> manifest
//	destination ─────┤                       ├─ unknown ───> read both sides, then found, copy or conflict
//	manifest ────────┘                       └─ extra ─────> reported; deleted only if asked, after both listings are complete
//
// Listings come and are compared page by page. Where both stores can begin a listing anywhere, the range is split into spans that are
// walked side by side, and whoever has nothing left takes a part of what another one has; see walk.go. The manifest, a sorted file
// and a log, is read from any key on, so that each span has its own part of it. A pass that is broken off leaves beside it which
// ranges it has finished, and the next run goes on behind them; see finished.go.
//
// Plan lists and compares, Apply copies, Verify compares the content of both sides, Delta says how much is left. With
// Options.Final, Apply goes on until a pass finds nothing to do and then proves both sides equal; that is for the freeze.
//
// Without a manifest nothing at the destination is known to be this migration's own. Objects of the same size are then
// compared by a digest of the same algorithm, and where the stores give none, by reading both sides: unknown is never equal.
//
// PlanBack and ApplyBack bring to the source what the destination has taken since both were proven equal: the manifest, turned
// round, says what may be replaced there. See back.go.
//
// A bucket is more than objects: a destination that is made gets the source's policy, rules and tags, as far as it can hold them.
// See configuration.go.
//
// Where a store has directories of its own, folders.go says what becomes of them, and irregular.go what of links and pipes, which are no objects.
//
// With Options.Versions each key is a history, whose versions are copied oldest first. See histories.go. Locks and keys of
// encryption go with each object, or it is refused. See guards.go.
//
// A change of an object's tags alone shows in no listing. It is noticed when the object is looked at: by a copy, and by
// Verify with ModeFull.
//
// Where both sides are on one server that can, it copies by itself: see within.go.
//
// A large object is written in parts that outlive the process: a run that is killed is gone on with from what the store has of
// them, with the hashes from where they stood. See resume.go.
//
// A place that is reached by two names is never synced into itself: place.go says what names tell, alias.go what objects tell, and echo.go what
// the first write to an empty place tells.
//
// How many objects are under way at once is found out as it runs (internal/pace), unless Options.Concurrency pins it. What they take of
// memory, in the engine and in both drivers, comes from one budget (internal/budget). Options.Bandwidth bounds what is read.
//
// The engine works on the range of keys that it is given. Several ranges of one bucket can be synced at once, each with
// a manifest of its own.
package bucketsync

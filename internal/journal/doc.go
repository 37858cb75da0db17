// Package journal is the memory of a migration: an append-only, hash-chained record of intents and outcomes.
//
// It lives in a state directory, beside the plans that it refers to:
//
//	journal.jsonl   one record a line: {"hash":"…","record":{…}}
//	plans/          every plan that was applied, by stage and hash
//	lock            held by the one process that writes
//
// The hash of a line is SHA-256 over the hash of the line before and the bytes of the record, so that a changed, removed
// or inserted record is seen. The bytes are hashed as they stand, so that a reader that does not know every field, or every
// kind, still checks the chain. A record that a crash tore is the last one and has no newline: it never
// happened, and the next writer cuts it off and says so.
//
// A change goes through these states, each durable before the next begins:
//
//	(nothing) ── intent ──> intended ── the world is changed ──> done | failed ── again ──> intended …
//
// A stage is planned (its plan is on disk), then finished (its result is in the journal); a reset takes it back to nothing.
package journal

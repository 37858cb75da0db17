// Package kill proves that a migration bears a kill at any record of its journal.
//
//	an unbroken trial ──> its journal: the points        its fingerprints: blue at first, and the whole at the end
//	                            │                                   │
//	for each point, a trial:    run, killed there ──┬─ run ─────────┤ the end must be the unbroken one's
//	                                                └─ rollback ────┘ blue must be what it was at first
//	                            run, and a rollback that is killed there ── rollback ── blue must be what it was at first
//
// A point is a record and the nastiest moment of it. An intent is killed when it is durable and nothing has come of it yet,
// or something has that nobody has heard of; every other record is killed before it is written, when what it tells of has
// happened. About every seventh point tears its record's line in half instead.
//
// Points are named by what their records say, not by their numbers: objects are restored side by side, so that
// the records of two runs come in different orders.
package kill

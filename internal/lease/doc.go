// Package lease keeps two machines from running one migration at once. The lease is one small object in a place that both can
// reach: the state store, or blue's cluster. Whoever made it holds it until it runs out, renews it while it works, and
// takes it away when it is done.
//
//	nothing ── Take ──> held ── renewed every Renew ──> held … ── Release ──> nothing
//	                     │ holder killed                       │ somebody else has it, or it cannot be renewed in time
//	                     │                                     └──> lost: Check fails, the journal takes no more records
//	                     ├ the same state directory: Take at once, since its file lock proves that the holder is gone
//	                     └ another machine, or a copy of the directory: refused until it has run out, then Take
//
// Every write is conditional on what was seen last, so that of two who try one wins. A holder whose lease has run out while it
// could not be renewed (a laptop that slept) asks again: if nobody has taken it in the meantime, it is still the holder.
package lease

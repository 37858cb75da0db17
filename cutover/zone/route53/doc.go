// Package route53 changes hosted zones of Amazon Route 53.
//
// A change is one batch: DELETE of every old set and of the fence, with the very values and TTLs that were read, then CREATE of the new
// sets and of the fence. Route 53 validates a batch as a whole and makes all of it or nothing, and a DELETE must hold all the
// values of the set that is there (API reference, "ChangeResourceRecordSets"). So the batch carries its own conditions:
// exactly the old records, and our token in the fence. UPSERT, which has no condition, is never sent.
//
//	List the name, List the fence -> batch -> PENDING ── GetChange every 2 s ──> INSYNC -> List -> done
//	                                   └─> InvalidChangeBatch -> List -> moved, in the way, or not ours
//
// Success means INSYNC: every Route 53 server has the change. A batch whose answer was lost has no ID to ask for; it is then read
// back, and whether every server shows it is for whoever called to see.
//
// An account may make five requests a second, in all of its zones together ("Quotas"): Limits is shared by all drivers of a program,
// and a request that is turned away as Throttling or PriorRequestNotComplete slows all of them down.
//
// Sets with a routing policy or an alias target are kept exactly as they are, and a name that holds one is not swapped.
package route53

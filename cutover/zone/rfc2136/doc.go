// Package rfc2136 changes records by dynamic updates (RFC 2136) that are signed with TSIG (RFC 8945), at any server that
// speaks them: BIND, Knot, PowerDNS and others.
//
// Everything goes over TCP. A change is one message, so that it is made as a whole or not at all:
//
//	prerequisites   the old sets are there exactly; no set of a type that conflicts; the fence's TXT holds our token
//	updates         delete each old record by its data, then add each new one; a CNAME for a CNAME is only added,
//	                which replaces it
//
// The zone is read before (has it moved?) and after (did the server do what it acknowledged?), at the primary. Where no
// acknowledgement comes, only reading decides what happened:
//
//	read -> holds New -> done, nothing sent
//	     -> holds Old -> send -> yes            -> read -> New -> done
//	                          -> no answer      -> read -> New -> done (Recovered)
//	                                                    -> Old -> send a fresh message, a bounded number of times
//	                          -> condition false -> read -> New after an earlier attempt -> done (Recovered)
//	                                                    -> else ErrMoved, ErrConflict or ErrFenced
//	     -> holds something else -> ErrMoved
//
// A CNAME in the place of addresses is rehearsed first, at a name of the driver's own beside the real one: some servers
// take the addresses away and then drop the CNAME. Should a server ever leave a name empty in spite of its yes, the new
// records are added at once, and the result says Weak.
//
// Reads are signed with the same key, so that a server that chooses its view by the key shows the view that is changed.
package rfc2136

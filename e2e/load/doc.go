// Package load plays the users of a web application while it is moved, and keeps
// the books: every failure, every accepted write, who answered when.
//
// For each hostname there are two users, because a CNAME swap reaches clients in
// two ways:
//
//	            resolver                         blue or green
//	                |                                  |
//	ttl  ── look up, keep the answer for its TTL ── connect; drop connections to
//	        |                                       addresses that are not in the answer
//	keep ── look up only to connect ── stay until the server closes the connection
//
//	each: reads at a steady rate ──┐
//	      writes at a steady rate ─┴─> recorder ──> Report (JSON)
//	                                       └─ accepted keys ──> Verify: is each one there?
//
// A request is counted once, however often it was sent. It is sent again only where
// RFC 9110, section 9.2.2 lets a client do so by itself: the method is idempotent
// (GET, PUT) and the connection, used before, broke before an answer. Each such
// repetition is counted too.
//
// What is a failure: no answer, a status that is not the expected one, a wrong body,
// a name without an address. What is not: a write that was refused with 503 and
// X-Read-Only, as a freeze does; it is counted apart.
package load

// Package clouddns changes managed zones of Google Cloud DNS.
//
// A change of the service is a list of deletions and of additions that are made together or not at all; a deletion must be exactly
// what is there (API reference, "Changes"). So a swap is one change that carries its own conditions: it deletes the old sets and the
// fence as they were read, and adds the new sets and the fence with our token.
//
//	list the name and the fence -> change -> pending ── get it every 2 s ──> done -> list -> done
//	                                 └─> 404, 409 or 412 -> list -> moved, in the way, or not ours
//
// A refusal is never answered by writing what is wanted over what is there: everything is read again, and only if it is as
// expected the change is made anew, with what was read.
//
// "done" says that the authoritative servers were told, not that each of them shows the change: whoever called asks them.
//
// Sets with a routing policy are kept exactly as they are, and a name that holds one is not swapped.
package clouddns

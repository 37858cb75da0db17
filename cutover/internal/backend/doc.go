// Package backend reads and changes what a controller does with the requests of one host: the rules of an Ingress, or of an
// HTTPRoute of the Gateway API. It knows nothing of plans and of names.
//
//	Read ── State: the host's rules as they stand, who holds its fence
//	  |
//	Claim         the fence: an annotation of the object, one for each host
//	  |
//	Change{Old, New, Fence} ── Make: one update of the object, or nothing
//	  |                          the fence is held, the rules are Old    → New
//	  |                          the fence is held, the rules are New    → made before: nothing is sent
//	  |                          else                                    → *MovedError, *FencedError: nothing is sent
//	Change.Reverse ── the way back, by the same rules
//	  |
//	Release       the annotation goes
//
// A Change holds the host's rules whole, before and after. What others change elsewhere in the object in the meantime stays as
// they want it; what they change in these rules is not overwritten. Without such a change the spec is afterwards, byte for byte,
// what it was (I6). Updates carry the resourceVersion that was read: between the look and the update nobody else writes. So a
// Change may be sent again after a kill, by whoever still holds the fence.
//
// New is made of Old by Replace, which walks the backends: to another Service (a switch), or to several with weights (a
// split; HTTPRoute only). A split at an Ingress takes a second Ingress instead, which is an object of our own.
//
// Objects of our own that rules lead through (a Service of type ExternalName, a ReferenceGrant, a second Ingress) are written
// with Create, or with Put where they change while they are in use, and taken away with Drop: never over a foreign one, and never when somebody has changed it (I3). They bear the
// component ComponentEntry: users' requests go through them, so a cleanup of leftovers passes them over.
package backend

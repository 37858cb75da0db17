// Package racing lets many writers change the same names of one real name server at once, while clients ask for these names
// without a pause.
//
//	writers ──> swaps, each on condition of what it has read ──┐
//	an operator who takes their fences over, time and again ───┤──> BIND, Knot or PowerDNS
//	clients ──> questions by UDP, one after the other ─────────┘
//
// Each swap raises the number that a name's target carries by one, under the writer's own mark. So every number up to the
// last is one swap, of which exactly one writer must know; and no number that came after a fence was taken over may be of a
// writer who held it before. Every other record of the zone is compared with what it was before, by a whole transfer.
package racing

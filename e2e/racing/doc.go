// Package racing lets many writers change the same names of one real name server at once, while clients ask for these names
// without a pause.
//
//	writers ──> swaps, each on condition of what it has read ──┐
//	stale writers, whose fence was taken over ─────────────────┤──> BIND, Knot or PowerDNS
//	clients ──> questions by UDP, one after the other ─────────┘
//
// Each swap raises the number that a name's target carries by one, under the writer's own mark. So the sum of the numbers
// tells how many swaps the zone has seen: less than the writers were told of is a lost update. Every other record of the
// zone is compared with what it was before, by a whole transfer.
package racing

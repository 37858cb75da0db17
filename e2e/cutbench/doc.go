// Package cutbench measures a cutover: how long planning hundreds of names takes, how long it is from the decision to move a name
// until every address of every server shows it, and how long it is from the first bad answer of green until every address shows
// blue again.
//
//	plan     500 applications, 50 zones, two real API servers ── crossfade plan, a process ── wall, CPU, memory
//	swap     PlanSwap, ApplySwap ──> BIND primary ── NOTIFY, IXFR ──> two secondaries, and a third whose transfers are held back
//	return   green fails ── ApplySoak ── PlanReturn, ApplyReturn ──> the same four
//
// Who sees a name move is a client of this package's own, which asks each address by plain UDP all the while and shares no code
// with what it judges. Beside each swap nsupdate, of Debian's bind9-dnsutils, moves a name of its own on the same servers.
//
// The applications' web servers are fakes in this process, and their clusters have neither nodes nor pods: what is measured is the
// planning and the names.
package cutbench

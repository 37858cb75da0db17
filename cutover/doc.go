// Package cutover moves traffic from blue to green, one application at a time, and back.
//
//	Inspect     zone, records, servers, TTL, chain and entry of every hostname        changes nothing
//	  |
//	TTL         fence every name, lower its TTL, wait the old one out                 once for the migration
//	  |
//	Check       gates on green by its address, under the real hostname                per application
//	  |
//	Swap        the names move to green in one change each; every address of every server must show it
//	  |
//	Settle      the TTL is waited out, under gates
//	  |
//	Soak        rounds of gates for 2 x TTL + 60 s at least ── breach ──> Return: the exact reverse, once
//	  |
//	WatchIdle   nobody uses blue: no flow, no request, no name                        restarts with every sign of use
//	  |
//	Certify     what lets blue be destroyed; another package does it
//	  |
//	RestoreTTL  the names get their TTLs back, the fences go
//
// A gate that learns nothing is inconclusive, which is never a pass (I8). Every wait is arithmetic that is shown (C26),
// and resuming one does not start it again. A name is only ever swapped, never deleted and made again (I2).
//
// Where what is, by how its files begin:
//
//	inspect, picture, owners, proxied                  what stands at a name, whose it is, and who answers for it
//	entries, zones, propagation                        where each side answers; the zone of a name; what every server shows
//	ttl, record, names_look, raised                    fences and TTLs, a record for green's entry, what is seen of a name before its swap
//	check, gate, measure, examine, endtoend            checks and their verdicts, before anything is changed and after
//	route, shift                                       a backend switched behind its name; shares of the traffic
//	swap, turn, return, settle, soak, watch, await     a name moves, is watched, and goes back; wait and report: the arithmetic of it
//	installations, handover, pause, resume             what external-dns owns goes along, or external-dns is paused
//	idle, evidence                                     who still uses blue, by every source that the file names
//	forward, brownout, knock                           blue passes on to green; blue refuses everybody for a while
//	certificate                                        what the evidence comes to: signed, checked, printed
//	restore                                            the names get their TTLs back
//
// What knows nothing of applications stands below, each with its own doc.go:
//
//	zone                  the names: a zone at a provider, and its drivers
//	internal/backend      the rules of an Ingress or HTTPRoute, for a host that moves behind its name
//	internal/externaldns  whose a record is, by external-dns
//	internal/front        pods of ours before blue's Services: they pass on to green, or refuse, and count
//	internal/prometheus   numbers and points of a Prometheus, for gates and evidence
//	internal/protocol     one address, asked by TCP, TLS, gRPC and HTTP as a client of a hostname would
package cutover

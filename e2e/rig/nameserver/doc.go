// Package nameserver runs real name servers for the rig and for tests: BIND, Knot, PowerDNS and the resolver Unbound,
// each as a child process in the foreground with a folder of its own. Nothing of the machine's own configuration is
// read, and nothing asks a server outside: there are no root hints.
//
//	Start    one authoritative server with the zones of its Spec
//	World    the rig's whole DNS:
//
//	                   resolver (Unbound, the only one that clients ask)
//	                      |
//	      parent  test.   |  delegates
//	                      +--> apps.test.   primary (BIND, signed updates) -- NOTIFY, IXFR --> secondary (BIND)
//	                      +--> lb.test.     the same two; where load balancers' addresses get their names
//
// In a network namespace the servers listen at an address of their own each, at port 53, as in the world. On loopback
// each has a port of its own, and Client of World asks there although delegations carry no port.
package nameserver

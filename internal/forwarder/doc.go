// Package forwarder stands before, or in the place of, an application of blue that has moved: it passes connections on to green, or
// refuses them, and in both cases counts who still comes. It runs in a pod, behind a Service of blue.
//
//	client ──> blue's Service ──> Server ──┬── a way with targets:    bytes as they are, both ways ──> green
//	                                       └── a way without targets: counted, and reset
//
//	GET /counts ──> who came by which way, how often, when last        (JSON, what evidence of idleness is made of)
//	GET /ready  ──> 200 once every way has reached a target, until it drains
//	GET /try    ──> one request through a way under a real hostname    (asked before anything leads here)
//	GET /metrics    the same counts for Prometheus
//
// It speaks TCP, so TLS and Host are the client's own. A side that has said all it has to say is passed on as such (half-close); a
// side that breaks off breaks the other off. What it counts is lost with the process: Counts say which process counts, so that
// nobody takes a new one's zero for silence.
package forwarder

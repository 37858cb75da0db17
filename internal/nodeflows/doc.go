// Package nodeflows lists the connections that a node's connection tracking knows of: evidence of who still uses the
// node's services. What kube-proxy forwards shows in no socket table of the node, but it shows here.
//
//	short-lived host-network pod: crossfade node-flows ── Print ──> one JSON line a flow, then a summary line
//	                                                                             |
//	collector on the operator's machine: pod log ── Parse ──> Report ── its own filters ──> evidence
//
// The pod filters nothing: what counts is decided in one place, by the collector. The summary line counts the flows, so
// that a log which was cut or rotated is noticed and is no evidence.
package nodeflows

// Package kube is the one way to a cluster: connections without a client-side limit, discovery that survives a dead
// APIService, listings without holes or doubles, questions about rights, requests to pods, and the hash of an object.
//
//	kubeconfig ── Connect ──> Client ── Resources ──> Resource ── List ──> objects
//	                            ├── Allowed     may I?
//	                            ├── PodRequest  a request to one pod through the API server
//	                            └── Identity    which cluster is this?
//
// The server's Priority and Fairness decides how fast we may be: nothing here waits before it asks, and an answer of
// 429 with Retry-After is waited out by the transport of client-go.
package kube

// Package balancer is a stand-in for a cloud's load balancers. It is not one: it hands out addresses as a cloud would,
// and the node's own kube-proxy does the rest.
//
//	Service of type LoadBalancer -> next free address of the pool, on the node's eth0
//	                             -> its A record made
//	                             -> status.loadBalancer.ingress: ip and hostname
//	Service gone, or of another type -> the status, the record and the address taken back
//
// The hostname is what a CNAME can point at, as a cloud's load balancers have one.
package balancer

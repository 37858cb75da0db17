// Package rig is a small world on one machine for a whole migration: two real Kubernetes clusters with real pods, two
// object stores of different providers, and real name servers.
//
//	machine, 10.213.N.1 on bridge cfN: the migration itself, users, both stores
//	   |
//	   +-- cfN-blue   .10  Kubernetes 1.28, load balancers from .100 on
//	   +-- cfN-green  .20  Kubernetes 1.36, load balancers from .150 on
//	   +-- cfN-names  .50  parent .52, primary .53, secondary .54, resolver .55
//
// No namespace has a default route. N is 0 unless another rig has that number.
//
// Up makes it all and Down removes it all. Everything that is made is recorded in the state folder first, so that
// Clean removes what a killed rig left.
package rig

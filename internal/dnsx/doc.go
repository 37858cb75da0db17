// Package dnsx is how Crossfade looks things up in the DNS. It hides the library underneath, asks over TCP, and tells
// an answer that proves something from one that does not.
//
//	Discover    resolver -> zone cut by SOA -> servers at the parent and at the child -> every address of each
//	                     -> what stands at the name, its chain of CNAMEs, wildcards, other types, signatures
//	Propagated  every address of every server: authoritative, and exactly the wanted set?
//	Resolve     what a resolver's client would see, with the resolver's remaining TTL
//
// An unreachable server, an answer that is not authoritative and a truncated one are never taken for a "no" (I8).
package dnsx

// Package proof plays whole migrations that go wrong, between the real clusters, stores and name servers of a rig, with
// users who never stop: killed runs, breaches after the swap, rollbacks of finished migrations, servers that fall silent.
//
//	rig that is up
//	  └─ scene: a set of the demo's applications with a namespace, buckets, names and a migration file of its own
//	       ├─ users            keep books of every accepted write, and of every failed request
//	       ├─ watch of names   asks every server, all the time, and notes each change and each missing answer
//	       └─ crossfade        the command, with a fault armed at a record of its journal
//	            └─ what it comes to: books against the stores, objects, buckets and zone against those of an unbroken run
//
// Scenes share the rig and nothing else, so that several are played at a time; where one takes a server away from all, it is
// played alone. The figures are printed as a table.
package proof

// Package e2e is the whole on real clusters, stores and name servers: its tests play the demo's migration once, with migrations
// that go wrong beside it, and look at what is left.
//
//	rig     two clusters, two stores, name servers
//	load    users, and the books about them
//	demo    one migration that goes well
//	proof   many that do not
package e2e

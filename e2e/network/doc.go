// Package network cuts a migration off from one server at a time, in each of its phases, and looks whether it gets over it.
//
//	crossfade ──> Proxy ──> API server of blue, of green │ store │ name server
//	               └ passes, drops, resets, stalls, or is slow, as it is told while it runs
//
// Everything that the product asks goes over TCP, questions to name servers too, so that one kind of proxy serves all. A cut
// begins when the journal holds a record of the phase, lasts a while and ends. The run that met it must end within a limit, with
// one of the documented exit codes, and say whom it waited for; a further run must reach what an unbroken one reaches.
package network

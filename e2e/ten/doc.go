// Package ten moves ten applications, one after the other, between two real clusters, while clients of two sorts use them.
//
//	clients that honour TTLs       look up, keep the answer for its TTL ─────> blue … swap … green
//	clients that keep connections  look up once, stay ─────────────> blue … drain ─> look up again, green
//	the same of applications without a drain ──────────────────────> blue, for ever: nobody may retire it
//
// No request of any of them may fail; a client that honours TTLs is on green when the application's wait for its old TTL is over; one that
// keeps its connection stays with blue, which goes on serving, until the drain; and one that never connects again is
// named by what watches blue's idleness, and holds the certificate up for as long as it is there.
package ten

// Package body holds what all drivers need to move bytes safely: bodies of exactly one length, in both directions, and
// uploads in parts with bounded memory.
//
//	caller's reader ── Exact ── Parts ──> buffers ──> driver's request, several at once
//	store's answer ── Answer ──> caller
package body

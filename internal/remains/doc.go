// Package remains finds what a migration has left in the clusters when it is over, and takes it away: labels and annotations of
// Crossfade on what it made, pods that only looked at a node, leases of runs that were killed. Only what bears the
// migration's name is touched (I3); what the migration brought to green stays.
//
//	green: every kind, by label ── made for users: unmark ── made to look: delete
//	blue:  pods and leases, by label ────────────────────── delete
package remains

// Package demo is the main job, whole: two real clusters, two stores, name servers and users under load, and between
// them the crossfade command as anyone would run it.
//
//	rig up ─> load begins ─> the roles of crossfade doctor --rbac are applied ─> crossfade run ─> crossfade retire
//	       ─> load ends ─> every accepted write is looked for on green
//
// The command runs as a user who holds those roles and nothing else.
//
// It knows the rig and the demo's applications. The command knows neither.
package demo

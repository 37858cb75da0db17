// Package demo is the main job, whole: two real clusters, two stores, name servers and users under load, and between
// them the crossfade command as anyone would run it.
//
//	rig up ─> load begins ─> crossfade run ─> crossfade retire ─> load ends ─> every accepted write looked for on green
//
// It knows the rig and the demo's applications. The command knows neither.
package demo

// Package plan is what a step intends, as data.
//
// A step's planner reads the world and returns a Plan: every change with its reason, what it relies on and how it is
// taken back. Nothing is changed by planning. What --dry-run prints is exactly what Apply consumes; the journal records
// the hash of the plan that was applied.
//
//	world ── planner ──> Plan (JSON) ── Run ──> changes, one by one, each between an intent and an outcome
package plan

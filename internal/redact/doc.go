// Package redact takes secrets out of texts and documents before they are logged, recorded or sent to others.
//
// What is secret say three things: values that the program has met as secrets (Learn), forms that only secrets have
// (rules.go), and fields of documents (fields.go), where a field that no table names counts as secret. In the place of a secret
// stands a mark with a short hash under a key that is thrown away: equal secrets have equal marks, and nobody can try
// guesses against one.
//
//	values that were resolved ── Learn ──┐
//	text ── Text ── forms ───────────────┼──> marks ──> log, journal's errors, terminal
//	document ── Document ── fields ──────┘          └─> support bundle
package redact

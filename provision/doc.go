// Package provision stands up the place that green's applications go to, and takes blue's away at the end.
//
//	blue's namespaces ── Plan ──> create, adopt ── Apply ──> namespaces on green, labelled as this migration's
//
//	retirement certificate, typed name ── PlanDestroy ──> volumes retained, namespaces deleted ── Destroy ──> gone, or why not
//
// Destroy deletes what the migration file names and nothing else: no cluster-scoped object, no finalizer, no volume. Whether
// blue may go is decided elsewhere; this package demands the certificate that says so, and the migration's name typed.
package provision

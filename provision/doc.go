// Package provision stands up green and, at the very end, destroys blue.
//
//	blue's namespaces ── Plan ──> create them on green, by their mapped names ── Apply ──> green
//	retirement certificate, namespaces that the file names ── PlanDestroy ──> Destroy ──> blue is gone
//
// A namespace of green is ours when it carries the migration's label. One that somebody else made is used only when it
// is empty, or told to be adopted. What is destroyed is a list of namespaces that the migration file names, each still the
// one that was seen when the plan was made; cluster-scoped objects are never deleted, and volumes outlive their claims.
package provision

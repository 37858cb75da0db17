// Package migration is the migration file: its types, its reader and its JSON schema.
//
// The types are the single source: the schema is generated from them, the reader refuses what they do not know with
// file, line, column and field, and the steps take their parts of it as options. Secrets never stand in the file,
// references to them do.
//
//	migration.yaml ── Load ──> File ── Validate ──> the façade ──> options of the steps
package migration

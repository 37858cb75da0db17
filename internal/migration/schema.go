package migration

import (
	"encoding/json"
	"fmt"

	"github.com/invopop/jsonschema"
)

// SchemaID is the identifier of the published schema.
const SchemaID = "https://crossfade-project.github.io/crossfade/migration.schema.json"

// Schema is the JSON schema of a migration file, generated from the types. Editors use it to complete and check.
// comments maps the folder of this package's source to its import path; empty leaves the descriptions out.
func Schema(source string) ([]byte, error) {
	r := jsonschema.Reflector{FieldNameTag: "yaml", DoNotReference: false, ExpandedStruct: true}
	if source != "" {
		if err := r.AddGoComments("github.com/crossfade-project/crossfade", source); err != nil {
			return nil, fmt.Errorf("read the comments of the migration file's types: %w", err)
		}
	}
	s := r.Reflect(&File{})
	s.ID = SchemaID
	s.Title = "Crossfade migration"
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return append(raw, '\n'), nil
}

package migration

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/invopop/jsonschema"
)

// Duration is a time.Duration that the file writes as "90s", "2m" or "72h".
type Duration time.Duration

// D returns the duration as the standard library's type.
func (d Duration) D() time.Duration { return time.Duration(d) }

// Or returns the duration, or the default where it is zero.
func (d Duration) Or(def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return time.Duration(d)
}

// String writes the duration as the file does.
func (d Duration) String() string { return time.Duration(d).String() }

// UnmarshalText reads "90s", "2m", "72h". Negative durations are refused.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration: write it as 90s, 2m or 72h", text)
	}
	if v < 0 {
		return fmt.Errorf("%q is negative: a wait cannot be", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the duration as the file does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalJSON reads the text form from JSON.
func (d *Duration) UnmarshalJSON(raw []byte) error {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("%s is not a duration: write it as \"90s\", \"2m\" or \"72h\"", raw)
	}
	return d.UnmarshalText([]byte(s))
}

// JSONSchema describes the text form.
func (Duration) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`, Examples: []any{"90s", "2m", "72h"}}
}

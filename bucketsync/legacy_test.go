package bucketsync

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// MarshalJSON writes format 1 of a manifest's lines, for the tests of what reads it.
func (r Record) MarshalJSON() ([]byte, error) {
	out := recordJSON{Key: r.Key, State: r.State, Source: r.Source, Destination: r.Destination, SHA256: bucket.ParseDigest(r.Hash).Value, MD5: r.MD5, Properties: r.Properties, Evidence: r.Evidence}
	if !utf8.ValidString(r.Key) {
		out.Key, out.Raw = "", []byte(r.Key)
	}
	return json.Marshal(out)
}

package attest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// format is the version of the file's form; readers refuse a later one.
const format = 1

// treeName is the hash tree in the header.
const treeName = "rfc6962-sha256"

// Header is the first line.
type Header struct {
	Format int `json:"crossfadeManifest"`
	// From and To are the URLs of both sides; the entries are of To, where what they hold was proven equal to From.
	From string    `json:"from"`
	To   string    `json:"to"`
	Made time.Time `json:"made"`
	Tool string    `json:"tool,omitempty"`
	// Mode is how the two sides were compared: the name of a mode of verify.
	Mode string `json:"mode"`
	// Include and Exclude are the globs that chose the keys that were compared; without any, it was every key.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// CurrentOnly says that older versions were compared too, of which there are no entries.
	CurrentOnly bool  `json:"currentOnly,omitempty"`
	Objects     int64 `json:"objects"`
	Bytes       int64 `json:"bytes"`
	// Hashes counts entries by what is known of their content. An earlier version wrote none; Read counts them then.
	Hashes *Hashes `json:"hashes,omitempty"`
	Tree   string  `json:"tree"`
	Root   string  `json:"root"` // hexadecimal
}

// Hashes counts entries by the strongest digest of the content that they have.
type Hashes struct {
	Content int64 `json:"content"` // BLAKE3 or SHA-256
	MD5     int64 `json:"md5"`     // no more than that
	None    int64 `json:"none"`    // none: which version it is, is all that is known
}

// add counts an entry.
func (h *Hashes) add(e Entry) {
	switch {
	case e.BLAKE3+e.SHA256 != "":
		h.Content++
	case e.MD5 != "":
		h.MD5++
	default:
		h.None++
	}
}

// Entry is one object.
type Entry struct {
	Key  string
	Size int64 // bytes
	// BLAKE3, SHA256 and MD5 of the content in hexadecimal, where they are known: one of the former two, mostly.
	BLAKE3, SHA256, MD5 string
	// Evidence is by what it was proven equal on both sides.
	Evidence string
	// Properties is a fingerprint of them, as the place that is attested keeps them.
	Properties string
	// Tag, Version and Modified (seconds since 1970) identify the version at that place.
	Tag, Version string
	Modified     int64
}

type entryJSON struct {
	Key        string `json:"key"`
	Raw        []byte `json:"rawKey,omitempty"` // of a key that is not UTF-8
	Size       int64  `json:"size"`
	BLAKE3     string `json:"blake3,omitempty"`
	SHA256     string `json:"sha256,omitempty"`
	MD5        string `json:"md5,omitempty"`
	Evidence   string `json:"evidence,omitempty"`
	Properties string `json:"properties,omitempty"`
	Tag        string `json:"etag,omitempty"`
	Version    string `json:"version,omitempty"`
	Modified   int64  `json:"modified,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (e Entry) MarshalJSON() ([]byte, error) {
	out := entryJSON{Key: e.Key, Size: e.Size, BLAKE3: e.BLAKE3, SHA256: e.SHA256, MD5: e.MD5, Evidence: e.Evidence, Properties: e.Properties, Tag: e.Tag, Version: e.Version, Modified: e.Modified}
	if !utf8.ValidString(e.Key) {
		out.Key, out.Raw = "", []byte(e.Key)
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *Entry) UnmarshalJSON(raw []byte) error {
	var in entryJSON
	if err := json.Unmarshal(raw, &in); err != nil {
		return err
	}
	if len(in.Raw) > 0 {
		in.Key = string(in.Raw)
	}
	switch {
	case in.Key == "":
		return errors.New("an entry has no key")
	case in.Size < 0:
		return fmt.Errorf("the entry of %q has a size of %d", in.Key, in.Size)
	}
	*e = Entry{Key: in.Key, Size: in.Size, BLAKE3: in.BLAKE3, SHA256: in.SHA256, MD5: in.MD5, Evidence: in.Evidence, Properties: in.Properties, Tag: in.Tag, Version: in.Version, Modified: in.Modified}
	return nil
}

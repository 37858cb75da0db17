package azure

import (
	"regexp"
	"testing"
	"unicode/utf8"
)

var identifier = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

func checkName(t *testing.T, key string) {
	t.Helper()
	name := metadataName(key)
	if !identifier.MatchString(name) {
		t.Fatalf("%q is kept as %q, which is no identifier", key, name)
	}
	if got := metadataKey(name); got != key {
		t.Fatalf("%q is kept as %q and comes back as %q", key, name, got)
	}
}

func TestB09_MetadataKeysAreReversible(t *testing.T) {
	for key, want := range map[string]string{
		"owner": "owner", "under_score": "under_score", "_": "_", "content-owner": "content_x002d_owner", "9lives": "_x0039_lives",
		"Upper": "_x0055_pper", "a_x002d_b": "a_x005f_x002d_b", "_x": "_x", "_x12_": "_x12_", "ü😀": "_x00fc__xd83d__xde00_",
		"a_X002D_b": "a_x005f__x0058_002_x0044__b", "_x0000A": "_x005f_x0000_x0041_", "_x00A0": "_x005f_x00_x0041_0",
	} {
		if got := metadataName(key); got != want {
			t.Errorf("%q is kept as %q, want %q", key, got, want)
		}
		checkName(t, key)
	}
}

// FuzzMetadataName: every key is kept under an identifier and comes back as it was.
func FuzzMetadataName(f *testing.F) {
	f.Add("_x002d_-_x")
	f.Add("__x0041__")
	f.Add("_x0000A0")
	f.Fuzz(func(t *testing.T, key string) {
		if key != "" && utf8.ValidString(key) {
			checkName(t, key)
		}
	})
}

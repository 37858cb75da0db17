package file

import (
	"strings"
	"testing"
)

// keyOf reads a path back as a listing does, directory by directory.
func keyOf(rel string) string {
	names := strings.Split(rel, "/")
	key := ""
	for i, name := range names {
		key += extend(name, i < len(names)-1)
	}
	return key
}

func checkName(t *testing.T, n naming, key string) {
	t.Helper()
	rel := n.path(key)
	for _, place := range []string{rel, aside(rel)} {
		if got := keyOf(place); got != key {
			t.Fatalf("%q is stored at %q, which reads as %q", key, place, got)
		}
		if !n.holds(key, place) {
			t.Fatalf("%q is stored at %q, which is not taken for its place", key, place)
		}
	}
	for i, name := range strings.Split(rel, "/") {
		if name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsAny(name, "\x00") || i == 0 && strings.EqualFold(name, privateDir) {
			t.Fatalf("%q is stored at %q, which is no path", key, rel)
		}
		if n.windows && (strings.ContainsAny(name, windowsOnly) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ")) {
			t.Fatalf("%q is stored at %q, which Windows refuses", key, rel)
		}
	}
}

func TestB12_PathsAreReversible(t *testing.T) {
	for key, want := range map[string]string{
		"a/b.txt": "a/b.txt", "100%.txt": "100%.txt", "a//b": "a/%_/b", "/a": "%_/a", "a/": "a/%_", "/": "%_/%_",
		"a/../b": "a/%2E%2E/b", ".": "%2E", "%2E": "%252E", "%41": "%41", "a%=": "a%25=", "%_": "%25_", "x%+": "x%25+",
		"a\nb": "a%0Ab", ".crossfade/lock": "%2Ecrossfade/lock", "a/.crossfade": "a/.crossfade", "a b:c": "a b:c", "ü": "ü", "%%25": "%%2525",
	} {
		checkName(t, naming{}, key)
		checkName(t, naming{windows: true}, key)
		if got := (naming{}).path(key); got != want {
			t.Errorf("%q is stored at %q, want %q", key, got, want)
		}
	}
	for _, unit := range []string{"a", "ü", "\x01", "%", ".", "%25"} {
		for length := 240; length <= 260; length++ {
			checkName(t, naming{}, strings.Repeat("x", length-len(unit))+unit)
			checkName(t, naming{}, strings.Repeat(unit, length))
			checkName(t, naming{windows: true}, strings.Repeat("x", length-1)+" "+unit)
		}
	}
}

func TestB12_NamesThatAreNotAKeysAreRefused(t *testing.T) {
	for _, rel := range []string{"a%25", "%2Ea", "a/%2E%2Ex", "x%+/y"} {
		if (naming{}).holds(keyOf(rel), rel) {
			t.Errorf("%q passes for the key %q, which is stored elsewhere", rel, keyOf(rel))
		}
	}
}

// FuzzNames: every key has a path of its own that stays inside the directory and reads back as the key.
func FuzzNames(f *testing.F) {
	for _, key := range []string{"a/b", "..", "//", "%25%2E", "\x00", "a%=", "%+/%_"} {
		f.Add(key, false)
	}
	f.Fuzz(func(t *testing.T, key string, windows bool) {
		if key != "" {
			checkName(t, naming{windows: windows}, key)
		}
	})
}

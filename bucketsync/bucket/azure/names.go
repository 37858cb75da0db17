package azure

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/headertext"
)

var (
	escaped = regexp.MustCompile(`^_x[0-9a-f]{4}_`)
	like    = regexp.MustCompile(`^_x[0-9a-f]{4}`)
)

// metadataName is the identifier under which Azure keeps a key of metadata. No two keys share one.
func metadataName(key string) string {
	var name strings.Builder
	for i, r := range key {
		// Four digits end an escape even without the underscore behind them: what follows may begin with one.
		literal := r == '_' && !like.MatchString(strings.ToLower(key[i:]))
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' && i > 0 || literal {
			name.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&name, "_x%04x_", unit)
		}
	}
	return name.String()
}

// metadataKey is metadataName's reverse. Azure gives names back in any case.
func metadataKey(name string) string {
	name = strings.ToLower(name)
	var units []uint16
	for name != "" {
		if escaped.MatchString(name) {
			unit, err := strconv.ParseUint(name[2:6], 16, 16)
			if err == nil {
				units = append(units, uint16(unit))
				name = name[7:]
				continue
			}
		}
		r, size := utf8.DecodeRuneInString(name)
		units = utf16.AppendRune(units, r)
		name = name[size:]
	}
	return string(utf16.Decode(units))
}

// encodeMetadata refuses what could not be read back (B9).
func encodeMetadata(metadata map[string]string) (map[string]*string, error) {
	if len(metadata) == 0 {
		return nil, nil
	}
	encoded := make(map[string]*string, len(metadata))
	total := 0
	for key, value := range metadata {
		if key == "" || !headertext.Holds(key) || !headertext.Holds(value) {
			return nil, fmt.Errorf("%w: metadata of %q is without a key or not UTF-8", bucket.ErrUnsupported, key)
		}
		name, text := metadataName(key), headertext.Encode(value)
		encoded[name] = &text
		total += len(name) + len(text)
	}
	if total > maxMetadata {
		return nil, fmt.Errorf("%w: %d bytes of metadata, of which Azure takes %d", bucket.ErrUnsupported, total, maxMetadata)
	}
	return encoded, nil
}

func decodeMetadata(encoded map[string]*string) map[string]string {
	if len(encoded) == 0 {
		return nil
	}
	metadata := make(map[string]string, len(encoded))
	for name, text := range encoded {
		metadata[metadataKey(name)] = headertext.Decode(value(text))
	}
	return metadata
}

// checkTags follows https://learn.microsoft.com/azure/storage/blobs/storage-manage-find-blobs.
func checkTags(tags map[string]string) error {
	if len(tags) > 10 {
		return fmt.Errorf("%w: %d tags, of which Azure takes 10", bucket.ErrUnsupported, len(tags))
	}
	for key, value := range tags {
		if key == "" || len(key) > 128 || len(value) > 256 || strings.ContainsFunc(key+value, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(" +-./:=_", r)
		}) {
			return fmt.Errorf("%w: tag %q of value %q: Azure takes letters, digits, space and + - . / : = _", bucket.ErrUnsupported, key, value)
		}
	}
	return nil
}

// keyProblem follows https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata.
func keyProblem(key string) string {
	switch {
	case key == "":
		return "an object needs a key"
	case !utf8.ValidString(key):
		return "the key is not UTF-8"
	case len(utf16.Encode([]rune(key))) > maxKey:
		return fmt.Sprintf("the key has over %d characters", maxKey)
	case strings.Contains(key, `\`):
		return "the key holds a backslash, which Azure takes for a slash"
	}
	for _, r := range key {
		if r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return fmt.Sprintf("the key holds the character %q, which Azure cannot list", r)
		}
	}
	names := strings.Split(key, "/")
	if len(names) > maxNames {
		return fmt.Sprintf("the key has %d names between slashes, Azure takes %d", len(names), maxNames)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".") {
			return "a name between slashes ends with a dot, which Azure may cut off"
		}
	}
	return ""
}

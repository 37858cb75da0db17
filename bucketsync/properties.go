package bucketsync

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// carry maps the properties of a source's object to what the destination can hold. Every property is in the result as it
// was, or has an entry that says what became of it (I5). A problem is a reason not to copy the object at all.
func carry(src bucket.Properties, from, to bucket.Capabilities) (out bucket.Properties, entries []Entry, problem string) {
	out = src
	lose := func(property, detail string) {
		entries = append(entries, Entry{Property: property, Fate: Lost, Detail: detail})
	}
	if !src.Expires.IsZero() && !to.Expires {
		out.Expires = time.Time{}
		lose("Expires", src.Expires.UTC().Format(time.RFC3339)+", "+to.Provider+" has no such header")
	}
	if src.WebsiteRedirect != "" && !to.WebsiteRedirect {
		out.WebsiteRedirect = ""
		lose("website redirect", fmt.Sprintf("to %q, %s has none", src.WebsiteRedirect, to.Provider))
	}
	out.Tags = maps.Clone(src.Tags)
	if len(src.Tags) > 0 && !to.Tags {
		out.Tags = nil
		for _, k := range slices.Sorted(maps.Keys(src.Tags)) {
			lose("tags", fmt.Sprintf("%s=%s, %s has no tags", k, src.Tags[k], to.Provider))
		}
	}
	out.Other = nil
	for _, k := range slices.Sorted(maps.Keys(src.Other)) {
		lose(k, fmt.Sprintf("%q, which only %s knows", src.Other[k], from.Provider))
	}
	if from.Provider != to.Provider {
		out.StorageClass = ""
		if !usualClass(src.StorageClass) {
			lose("storage class", fmt.Sprintf("%s is a class of %s, %s uses its own default", src.StorageClass, from.Provider, to.Provider))
		}
	}
	if !to.Modes {
		out.Modes = nil
		if src.Modes.Closed() {
			lose("file mode", fmt.Sprintf("%s, %s has no such bits: its own rules say who may read the copy", src.Modes, to.Provider))
		}
	}
	metadata, mapped, problem := carryMetadata(src.Metadata, from, to)
	out.Metadata = metadata
	if problem == "" && to.PropertyProblem != nil {
		problem = to.PropertyProblem(out)
	}
	return out, append(entries, mapped...), problem
}

// usualClass reports whether a class is the one that its provider uses where nothing is asked for.
func usualClass(class string) bool {
	switch strings.ToUpper(class) {
	case "", "STANDARD", "HOT":
		return true
	}
	return false
}

// carryMetadata finds what the destination's names make of the keys: the driver writes them so, and turns them back.
func carryMetadata(src map[string]string, from, to bucket.Capabilities) (out map[string]string, entries []Entry, problem string) {
	if len(src) == 0 {
		return nil, nil, ""
	}
	origin := make(map[string]string, len(src))
	size := 0
	for _, key := range slices.Sorted(maps.Keys(src)) {
		name := metadataName(key, to)
		if name == "" {
			return nil, nil, fmt.Sprintf("the destination cannot hold the metadata key %q", key)
		}
		if other, taken := origin[name]; taken {
			return nil, nil, fmt.Sprintf("the metadata keys %q and %q are both %q at the destination", other, key, name)
		}
		origin[name] = key
		size += len(name) + len(src[key])
		if name != key && from.MetadataKeys != to.MetadataKeys {
			entries = append(entries, Entry{Property: "metadata key", Fate: Mapped, Detail: fmt.Sprintf("%s is kept as %s", key, name)})
		}
	}
	if to.MaxMetadataSize > 0 && size > to.MaxMetadataSize {
		return nil, nil, fmt.Sprintf("its metadata takes %d bytes and the destination holds %d", size, to.MaxMetadataSize)
	}
	return maps.Clone(src), entries, ""
}

// metadataName is the name under which the destination keeps a key, or "" where it has none for it.
func metadataName(key string, to bucket.Capabilities) string {
	if to.MetadataName != nil {
		key = to.MetadataName(key)
	}
	switch to.MetadataKeys {
	case bucket.MetadataLowerCase:
		return strings.ToLower(key)
	case bucket.MetadataIdentifiers:
		key = strings.ToLower(key)
		foreign := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' }
		if key == "" || key[0] >= '0' && key[0] <= '9' || strings.ContainsFunc(key, foreign) {
			return ""
		}
	case bucket.MetadataAnyCase:
	}
	return key
}

// difference is one property that is not what it should be.
type difference struct{ property, want, got string }

// canonical gives properties the form in which they are compared at a store: what stores fill in by themselves is as if it were not there.
func canonical(p bucket.Properties, caps bucket.Capabilities) bucket.Properties {
	switch p.ContentType {
	case "application/octet-stream", "binary/octet-stream", "application/x-directory":
		p.ContentType = ""
	}
	if usualClass(p.StorageClass) {
		p.StorageClass = ""
	}
	if !p.Expires.IsZero() {
		p.Expires = p.Expires.UTC().Truncate(time.Second) // the header has no fractions
	}
	if len(p.Tags) == 0 {
		p.Tags = nil
	}
	if len(p.Metadata) == 0 {
		p.Metadata = nil
		return p
	}
	folded := make(map[string]string, len(p.Metadata))
	for k, v := range p.Metadata {
		if caps.MetadataKeys != bucket.MetadataAnyCase {
			k = strings.ToLower(k)
		}
		folded[k] = v
	}
	p.Metadata = folded
	return p
}

// differences compares the properties that were to be written with those that are there. The order is fixed.
func differences(want, got bucket.Properties, to bucket.Capabilities) []difference {
	want, got = canonical(want, to), canonical(got, to)
	var out []difference
	compare := func(property, w, g string) {
		if w != g {
			out = append(out, difference{property, w, g})
		}
	}
	compare("Content-Type", want.ContentType, got.ContentType)
	compare("Content-Encoding", want.ContentEncoding, got.ContentEncoding)
	compare("Content-Language", want.ContentLanguage, got.ContentLanguage)
	compare("Content-Disposition", want.ContentDisposition, got.ContentDisposition)
	compare("Cache-Control", want.CacheControl, got.CacheControl)
	if !want.Expires.Equal(got.Expires) {
		compare("Expires", want.Expires.String(), got.Expires.String())
	}
	compare("website redirect", want.WebsiteRedirect, got.WebsiteRedirect)
	if want.StorageClass != "" {
		// Where none was asked for, the store's own choice is not a difference.
		compare("storage class", want.StorageClass, got.StorageClass)
	}
	if !got.Lock.Covers(want.Lock) {
		compare("lock", want.Lock.String(), got.Lock.String())
	}
	if want.Encryption.Kind == bucket.ByService && !got.Encryption.Under(want.Encryption.Key) {
		compare("encryption key", want.Encryption.Key, cmp.Or(got.Encryption.Key, "of the provider"))
	}
	for _, k := range unionKeys(want.Metadata, got.Metadata) {
		compare("metadata "+k, want.Metadata[k], got.Metadata[k])
	}
	for _, k := range unionKeys(want.Tags, got.Tags) {
		compare("tag "+k, want.Tags[k], got.Tags[k])
	}
	return out
}

func unionKeys(a, b map[string]string) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// fingerprint is a hash of properties in canonical form, without the class, which is compared within one provider only.
func fingerprint(p bucket.Properties, caps bucket.Capabilities) string {
	p = canonical(p, caps)
	p.StorageClass, p.Other = "", nil
	raw, err := json.Marshal(p) // maps are written in the order of their keys
	if err != nil {
		panic(fmt.Sprintf("properties cannot be marshalled: %v", err)) // strings, maps of strings and a time always can
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

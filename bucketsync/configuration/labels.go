package configuration

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// tags of S3 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/CostAllocTagging.html), labels of GCS
// (https://cloud.google.com/storage/docs/tags-and-labels#bucket-labels) and metadata of Azure
// (https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata).
// A name is carried as it is or not at all: a changed one would be another name to whoever bills or selects by it.
func (m *mapping) tags() {
	if len(m.Source.Tags) == 0 || m.noPlace(bucket.PartTags, "tags") {
		return
	}
	limit := map[string]int{s3: 50, minio: 50, gcs: 64}[m.To.Provider]
	kept := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(m.Source.Tags)) {
		value := m.Source.Tags[key]
		switch why := m.tagProblem(key, value); {
		case why != "":
			m.enter(bucket.PartTags, Lost, "%s: %s", key, why)
		case limit > 0 && len(kept) == limit:
			m.enter(bucket.PartTags, Lost, "%s: %s takes %d of them", key, m.To.Provider, limit)
		default:
			kept[key] = value
		}
	}
	if len(kept) == 0 {
		return
	}
	m.answer.Apply.Tags = kept
	fate := Kept
	if name(m.From.Provider) != name(m.To.Provider) {
		fate = Mapped
	}
	m.enter(bucket.PartTags, fate, "%d as %s", len(kept), name(m.To.Provider))
}

// name is what a provider calls them.
func name(provider string) string {
	switch provider {
	case gcs:
		return "labels"
	case azure:
		return "metadata of the container"
	}
	return "tags"
}

func (m *mapping) tagProblem(key, value string) string {
	switch m.To.Provider {
	case s3, minio:
		switch {
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return "the prefix aws: is the provider's"
		case utf8.RuneCountInString(key) > 128 || utf8.RuneCountInString(value) > 256:
			return "a tag has at most 128 characters, its value 256"
		case strings.ContainsFunc(key+value, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsSpace(r) && !strings.ContainsRune("+-=._:/@", r)
		}):
			return "a tag holds letters, digits, spaces and + - = . _ : / @ alone"
		}
	case gcs:
		label := func(s string) bool {
			return utf8.RuneCountInString(s) <= 63 && !strings.ContainsFunc(s, func(r rune) bool {
				return (!unicode.IsLetter(r) || unicode.IsUpper(r)) && !unicode.IsDigit(r) && r != '_' && r != '-'
			})
		}
		first, _ := utf8.DecodeRuneInString(key)
		if !label(key) || !label(value) || !unicode.IsLetter(first) {
			return "a label begins with a letter and holds lower-case letters, digits, _ and - alone, at most 63"
		}
	case azure:
		if !identifier(key) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) || strings.TrimSpace(value) != value || value == "" {
			return "a name of Azure's metadata is a C# identifier in lower case, its value ASCII"
		}
	}
	return ""
}

func identifier(s string) bool { return regexp.MustCompile(`^[a-z_][a-z0-9_]*$`).MatchString(s) }

package headertext

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Check refuses properties that no header can carry.
func Check(p bucket.Properties) error {
	for _, property := range []struct{ name, value string }{
		{"Content-Type", p.ContentType}, {"Content-Encoding", p.ContentEncoding}, {"Content-Language", p.ContentLanguage},
		{"Content-Disposition", p.ContentDisposition}, {"Cache-Control", p.CacheControl}, {"website redirect", p.WebsiteRedirect},
	} {
		if property.value != strings.TrimSpace(property.value) || strings.ContainsFunc(property.value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return fmt.Errorf("%w: %s %q: a header holds printable ASCII", bucket.ErrUnsupported, property.name, property.value)
		}
	}
	return nil
}

// CheckTags follows https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html. Servers other than Amazon's may take
// ASCII only, which MinIO does.
func CheckTags(tags map[string]string, complete bool) error {
	if len(tags) > 10 {
		return fmt.Errorf("%w: %d tags, of which S3 takes 10", bucket.ErrUnsupported, len(tags))
	}
	foreign := func(r rune) bool {
		ascii := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(" +-=._:/@", r)
		return !ascii && (!complete || !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsSpace(r))
	}
	for key, value := range tags {
		if key == "" || utf8.RuneCountInString(key) > 128 || utf8.RuneCountInString(value) > 256 || strings.ContainsFunc(key+value, foreign) {
			return fmt.Errorf("%w: tag %q of value %q: the store takes letters, digits, spaces and + - = . _ : / @", bucket.ErrUnsupported, key, value)
		}
	}
	return nil
}

// Fold turns user metadata into what headers carry: names in lower case, values encoded. It refuses what could not be
// read back (B9): names that are no header's, names that differ in case only, more than limit bytes in all.
func Fold(metadata map[string]string, limit int) (map[string]string, error) {
	folded := make(map[string]string, len(metadata))
	total := 0
	for key, value := range metadata {
		name := strings.ToLower(key)
		if !isToken(name) {
			return nil, fmt.Errorf("%w: metadata key %q: it is no name of a header", bucket.ErrUnsupported, key)
		}
		if _, taken := folded[name]; taken {
			return nil, fmt.Errorf("%w: metadata keys that differ in case only: %q", bucket.ErrUnsupported, key)
		}
		if !Holds(value) {
			return nil, fmt.Errorf("%w: metadata of %q is not UTF-8", bucket.ErrUnsupported, key)
		}
		folded[name] = Encode(value)
		total += len(name) + len(folded[name])
	}
	if limit > 0 && total > limit {
		return nil, fmt.Errorf("%w: %d bytes of metadata, of which the store takes %d", bucket.ErrUnsupported, total, limit)
	}
	return folded, nil
}

// Unfold is Fold's reverse.
func Unfold(headers map[string]string) map[string]string {
	if len(headers) == 0 {
		return nil
	}
	metadata := make(map[string]string, len(headers))
	for name, value := range headers {
		metadata[strings.ToLower(name)] = Decode(value)
	}
	return metadata
}

// StripChunked takes the token aws-chunked out of a Content-Encoding: it is of a transfer that is over (B8).
func StripChunked(encoding string) string {
	tokens := strings.Split(encoding, ",")
	kept := slices.DeleteFunc(slices.Clone(tokens), func(token string) bool {
		return strings.EqualFold(strings.TrimSpace(token), "aws-chunked")
	})
	if len(kept) == len(tokens) {
		return encoding
	}
	return strings.TrimSpace(strings.Join(kept, ","))
}

// isToken says that RFC 9110 takes a name for a header's.
func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

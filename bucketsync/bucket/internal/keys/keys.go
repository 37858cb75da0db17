// Package keys says which keys a store's protocol and its servers can hold (B12).
package keys

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// S3Max is the length in bytes of S3's longest key: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html.
const S3Max = 1024

// S3 says why Amazon's service cannot hold a key, or "".
func S3(key string) string {
	switch {
	case key == "":
		return "an object needs a key"
	case len(key) > S3Max:
		return fmt.Sprintf("the key has %d bytes, S3 takes %d", len(key), S3Max)
	case !utf8.ValidString(key):
		return "the key is not UTF-8"
	}
	return ""
}

// S3OverFiles says why a server that speaks S3 and keeps objects under file names may not hold a key. Such servers
// were seen to store some of these under another key without a word: MinIO drops a leading slash; versitygw resolves
// dots, and lists control characters as others.
func S3OverFiles(key string) string {
	if problem := S3(key); problem != "" {
		return problem
	}
	for _, r := range key {
		if r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return fmt.Sprintf("the key holds the character %q, which servers other than Amazon's may list as another", r)
		}
	}
	names := strings.Split(key, "/")
	for i, name := range names {
		switch {
		case name == "" && i < len(names)-1:
			return "the key holds an empty name between slashes, which servers other than Amazon's may leave out"
		case name == "." || name == "..":
			return "the key holds a name of dots, which servers other than Amazon's may resolve"
		case len(name) > 255:
			return fmt.Sprintf("a name between slashes has %d bytes, file systems take 255", len(name))
		}
	}
	return ""
}

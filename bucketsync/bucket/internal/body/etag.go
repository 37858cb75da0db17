package body

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

var (
	partsForm = regexp.MustCompile(`^[0-9a-f]{32}-[0-9]+$`)
	md5Form   = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// MadeOfParts says that an ETag has the form that S3 gives to an object of several parts.
func MadeOfParts(etag string) bool { return partsForm.MatchString(etag) }

// MadeOfBytes says that an ETag has the form of an MD5. Whether it is one, Plain says.
func MadeOfBytes(etag string) bool { return md5Form.MatchString(etag) }

// Plain says that an object's ETag is made of MD5s of its content (B2).
func Plain(obj bucket.Object) bool {
	return obj.Properties != nil && obj.Properties.Encryption == bucket.Encryption{}
}

// Alike says that parts of one size, the last one excepted, are as many as the object's ETag counts.
func Alike(obj bucket.Object, size int64) bool {
	return strings.HasSuffix(obj.ETag, fmt.Sprintf("-%d", (obj.Size+size-1)/size))
}

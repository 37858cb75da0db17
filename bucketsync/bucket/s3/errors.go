package s3

import (
	"errors"
	"strings"

	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/s3rights"
)

func (b *Bucket) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	var said *bucket.Error
	if errors.As(err, &said) {
		return err // of a request that this one needed
	}
	found := kind(err)
	if found == nil && (op == "head" || op == "open") && needsKey(err) {
		found = bucket.ErrKeyNeeded
	}
	wrapped := bucket.Wrap(op, b.url, key, found, err)
	if unknown(err) {
		return wrapped
	}
	return bucket.Lacks(s3rights.Of(op), wrapped)
}

// unknown reports whether the credentials as such were not accepted. An answer without a body, as to a HEAD, does not say.
func unknown(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode() {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken":
		return true
	}
	return false
}

// kind finds the sentinel by the error's code, and by the status where an answer has no body, as to a HEAD.
func kind(err error) error {
	var api smithy.APIError
	if errors.As(err, &api) {
		switch code := api.ErrorCode(); code {
		case "NoSuchKey", "NoSuchBucket", "NotFound":
			return bucket.ErrNotExist
		case "NoSuchUpload":
			return bucket.ErrUploadGone
		case "PreconditionFailed", "ConditionalRequestConflict":
			return bucket.ErrPrecondition
		case "BadDigest":
			return bucket.ErrDigest
		case "InvalidObjectState":
			return bucket.ErrArchived
		case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "Forbidden":
			return bucket.ErrDenied
		case "NotImplemented", "EntityTooLarge", "KeyTooLongError", "MetadataTooLarge", "InvalidRange", "InvalidStorageClass", "InvalidTag",
			// MinIO's and versitygw's, of keys that they cannot hold.
			"XMinioInvalidObjectName", "XMinioInvalidResourceName", "XMinioObjectExistsAsDirectory", "XMinioParentIsObject",
			"ObjectParentIsFile", "ExistingObjectIsDirectory", "DirectoryObjectContainsData":
			return bucket.ErrUnsupported
		case "SlowDown", "RequestLimitExceeded", "TooManyRequests":
			return bucket.ErrSlowDown
		default:
			if strings.HasPrefix(code, "Throttl") {
				return bucket.ErrSlowDown
			}
		}
	}
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) {
		return nil
	}
	return bucket.KindOfStatus(answer.HTTPStatusCode())
}

package minio

import (
	"errors"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

func (b *Bucket) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	found := kind(err)
	if found == nil && (op == "head" || op == "open") && needsKey(err) {
		found = bucket.ErrKeyNeeded
	}
	return bucket.Wrap(op, b.url, key, found, err)
}

// kind finds the sentinel by the error's code, and by its status where the code says nothing.
func kind(err error) error {
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return nil
	}
	switch answer.Code {
	case "NoSuchKey", "NoSuchBucket":
		return bucket.ErrNotExist
	case "NoSuchUpload":
		return bucket.ErrUploadGone
	case "PreconditionFailed":
		return bucket.ErrPrecondition
	case "InvalidObjectState":
		return bucket.ErrArchived
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidTokenId":
		return bucket.ErrDenied
	case "SlowDown", "SlowDownRead", "SlowDownWrite":
		return bucket.ErrSlowDown
	case "NotImplemented", "EntityTooLarge", "KeyTooLongError", "MetadataTooLarge", "InvalidRange", "InvalidStorageClass", "InvalidTag",
		"XMinioInvalidObjectName", "XMinioInvalidResourceName", "XMinioObjectExistsAsDirectory", "XMinioParentIsObject":
		return bucket.ErrUnsupported
	}
	switch answer.StatusCode {
	case http.StatusNotFound:
		return bucket.ErrNotExist
	case http.StatusPreconditionFailed:
		return bucket.ErrPrecondition
	case http.StatusUnauthorized, http.StatusForbidden:
		return bucket.ErrDenied
	case http.StatusNotImplemented, http.StatusRequestedRangeNotSatisfiable:
		return bucket.ErrUnsupported
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return bucket.ErrSlowDown
	}
	return nil
}

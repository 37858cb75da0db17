package minio

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"

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
	wrapped := bucket.Wrap(op, b.url, key, found, ended(err))
	if unknown(err) {
		return wrapped
	}
	return bucket.Lacks(s3rights.Of(op), wrapped)
}

// unknown reports whether the credentials as such were not accepted. An answer without a body, as to a HEAD, does not say.
func unknown(err error) bool {
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.Code {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidTokenId":
		return true
	}
	return false
}

// ended says of a connection that ended before an answer that it did: the SDK puts words of its own in the place of that error.
func ended(err error) error {
	var broken *url.Error
	if errors.As(err, &broken) && strings.HasPrefix(broken.Err.Error(), "Connection closed by foreign host") {
		return fmt.Errorf("%s of the server: %w", broken.Op, io.ErrUnexpectedEOF)
	}
	return err
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
	case "BadDigest":
		return bucket.ErrDigest
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
	return bucket.KindOfStatus(answer.StatusCode)
}

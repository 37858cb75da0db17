package minio

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/encrypt"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Headers of S3 that MinIO answers with.
const (
	lockModeHeader  = "X-Amz-Object-Lock-Mode"
	lockUntilHeader = "X-Amz-Object-Lock-Retain-Until-Date"
	lockHoldHeader  = "X-Amz-Object-Lock-Legal-Hold"
	sseHeader       = "X-Amz-Server-Side-Encryption"
	sseKeyHeader    = "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"
	sseCustomer     = "X-Amz-Server-Side-Encryption-Customer-Algorithm"
	sseCustomerMD5  = "X-Amz-Server-Side-Encryption-Customer-Key-Md5"
)

// Guards implements bucket.Guarded. A bucket with object locking keeps versions.
func (b *Bucket) Guards(ctx context.Context) (bucket.Guards, error) {
	var guards bucket.Guards
	enabled, _, _, _, err := b.client.GetObjectLockConfig(ctx, b.opts.Bucket)
	switch {
	case err == nil:
		on := enabled == "Enabled"
		guards.Retention, guards.Holds, guards.KeepsLocked = on, on, on
	case !hasNone(err, "ObjectLockConfigurationNotFoundError"):
		return guards, b.fail("ask for the object lock", "", err)
	}
	rules, err := b.client.GetBucketEncryption(ctx, b.opts.Bucket)
	if err != nil {
		if hasNone(err, "ServerSideEncryptionConfigurationNotFoundError") {
			return guards, nil
		}
		return guards, b.fail("ask for the default encryption", "", err)
	}
	for _, rule := range rules.Rules {
		if rule.Apply.SSEAlgorithm != "AES256" {
			guards.Key = rule.Apply.KmsMasterKeyID
			if guards.Key == "" {
				guards.Key = "the server's own"
			}
		}
	}
	return guards, nil
}

func hasNone(err error, code string) bool {
	return minio.ToErrorResponse(err).Code == code || errors.Is(kind(err), bucket.ErrUnsupported)
}

// MakeKeeping implements bucket.Keeper. Object locking is asked for when the bucket is made.
func (b *Bucket) MakeKeeping(ctx context.Context, what bucket.Keeping) error {
	if err := b.create(ctx, what.Locks); err != nil {
		return b.fail("make", "", err)
	}
	if !what.Versions { // which come with locks where the store needs them for that
		return nil
	}
	return b.fail("turn on versioning", "", b.client.EnableVersioning(ctx, b.opts.Bucket))
}

func lockOf(header http.Header) bucket.Lock {
	l := bucket.Lock{Mode: bucket.LockMode(strings.ToLower(header.Get(lockModeHeader))), Hold: header.Get(lockHoldHeader) == "ON"}
	if until, err := time.Parse(time.RFC3339, header.Get(lockUntilHeader)); err == nil {
		l.Until = until.UTC()
	}
	return l
}

func encryptionOf(header http.Header) bucket.Encryption {
	switch {
	case header.Get(sseCustomer) != "":
		return bucket.Encryption{Kind: bucket.ByCustomer, Key: header.Get(sseCustomerMD5)}
	case strings.HasPrefix(header.Get(sseHeader), "aws:kms"):
		return bucket.Encryption{Kind: bucket.ByService, Key: header.Get(sseKeyHeader)}
	}
	return bucket.Encryption{}
}

// guard asks for a lock and for a key. A date that is rounded is rounded up.
func guard(query *minio.PutObjectOptions, p bucket.Properties) {
	if p.Lock.Retains() {
		query.Mode = minio.RetentionMode(strings.ToUpper(string(p.Lock.Mode)))
		query.RetainUntilDate = p.Lock.Until.Add(time.Second - 1).Truncate(time.Second)
	}
	if p.Lock.Hold || p.Lock.EventHold {
		query.LegalHold = minio.LegalHoldEnabled
	}
	if p.Encryption.Kind == bucket.ByService {
		query.ServerSideEncryption = underKey{p.Encryption.Key}
	}
}

// underKey names a key of the server's key service.
type underKey struct{ name string }

func (underKey) Type() encrypt.Type { return encrypt.KMS }

func (k underKey) Marshal(h http.Header) {
	h.Set(sseHeader, "aws:kms")
	h.Set(sseKeyHeader, strings.TrimPrefix(k.name, "arn:aws:kms:"))
}

// class is the storage class of an object. Only listings have a field for it; heads and reads tell it by a header, where it is not the usual one.
func class(info minio.ObjectInfo) string {
	return cmp.Or(info.StorageClass, info.Headers.Get("X-Amz-Storage-Class"))
}

// archived: MinIO reads what it has moved to another tier through itself; only classes of S3 itself have to be restored.
func archived(info minio.ObjectInfo) *bucket.Archived {
	class := class(info)
	if class != "GLACIER" && class != "DEEP_ARCHIVE" {
		return nil
	}
	a := &bucket.Archived{Class: class, Offline: true}
	if r := info.Restore; r != nil {
		a.Restoring, a.Offline = r.OngoingRestore, r.OngoingRestore
	}
	return a
}

// needsKey tells an object under a customer's key, which the server answers with 400 where the request carries no key.
func needsKey(err error) bool {
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) || answer.StatusCode != http.StatusBadRequest {
		return false
	}
	switch answer.Code {
	case "", "BadRequest", "400 Bad Request":
		return true
	case "InvalidRequest":
		return strings.Contains(answer.Message, "Server Side Encryption")
	}
	return false
}

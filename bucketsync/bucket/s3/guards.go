package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/s3page"
)

// Guards implements bucket.Guarded. A bucket with Object Lock keeps versions, so that writing over a locked object adds one:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html.
func (b *Bucket) Guards(ctx context.Context) (bucket.Guards, error) {
	var guards bucket.Guards
	if b.express() {
		return guards, nil
	}
	lock, err := b.client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &b.opts.Bucket})
	switch {
	case err == nil:
		on := lock.ObjectLockConfiguration != nil && lock.ObjectLockConfiguration.ObjectLockEnabled == types.ObjectLockEnabledEnabled
		guards.Retention, guards.Holds, guards.KeepsLocked = on, on, on && b.complete()
	case !hasNone(err, "ObjectLockConfigurationNotFoundError"):
		return guards, b.fail("ask for the object lock", "", err)
	}
	if guards.Retention && !guards.KeepsLocked {
		// Other servers hold locks without keeping versions.
		status, err := b.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &b.opts.Bucket})
		if err != nil && !hasNone(err, "") {
			return guards, b.fail("ask for versioning", "", err)
		}
		guards.KeepsLocked = err == nil && status.Status == types.BucketVersioningStatusEnabled
	}
	rules, err := b.client.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &b.opts.Bucket})
	if err != nil {
		if hasNone(err, "ServerSideEncryptionConfigurationNotFoundError") {
			return guards, nil
		}
		return guards, b.fail("ask for the default encryption", "", err)
	}
	if rules.ServerSideEncryptionConfiguration == nil {
		return guards, nil
	}
	for _, rule := range rules.ServerSideEncryptionConfiguration.Rules {
		if by := rule.ApplyServerSideEncryptionByDefault; by != nil && by.SSEAlgorithm != types.ServerSideEncryptionAes256 {
			guards.Key = aws.ToString(by.KMSMasterKeyID)
			if guards.Key == "" {
				guards.Key = "aws/s3" // the key that S3 makes itself where none is named
			}
		}
	}
	return guards, nil
}

// hasNone says that a bucket has no configuration of a kind, or that its server knows none.
func hasNone(err error, code string) bool {
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == code {
		return true
	}
	return errors.Is(kind(err), bucket.ErrUnsupported)
}

// MakeKeeping implements bucket.Keeper. Object Lock is asked for when the bucket is made.
func (b *Bucket) MakeKeeping(ctx context.Context, what bucket.Keeping) error {
	if b.express() {
		return b.fail("make", "", fmt.Errorf("%w: versions in a directory bucket", bucket.ErrUnsupported))
	}
	if err := b.create(ctx, what.Locks); err != nil {
		return b.fail("make", "", err)
	}
	if !what.Versions { // which come with locks where the store needs them for that
		return nil
	}
	_, err := b.client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: &b.opts.Bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	return b.fail("turn on versioning", "", err)
}

func lockOf(head *s3.HeadObjectOutput) bucket.Lock {
	return bucket.Lock{
		Mode: bucket.LockMode(strings.ToLower(string(head.ObjectLockMode))), Until: aws.ToTime(head.ObjectLockRetainUntilDate).UTC(),
		Hold: head.ObjectLockLegalHoldStatus == types.ObjectLockLegalHoldStatusOn,
	}
}

// lockHeaders are a lock in the words of S3, which has no holds by event. A date that is rounded is rounded up.
func lockHeaders(l bucket.Lock) (mode types.ObjectLockMode, until *time.Time, hold types.ObjectLockLegalHoldStatus) {
	if l.Retains() {
		whole := l.Until.Add(time.Second - 1).Truncate(time.Second)
		mode, until = types.ObjectLockMode(strings.ToUpper(string(l.Mode))), &whole
	}
	if l.Hold || l.EventHold {
		hold = types.ObjectLockLegalHoldStatusOn
	}
	return mode, until, hold
}

func encryptionOf(head *s3.HeadObjectOutput) bucket.Encryption {
	switch {
	case aws.ToString(head.SSECustomerAlgorithm) != "":
		return bucket.Encryption{Kind: bucket.ByCustomer, Key: aws.ToString(head.SSECustomerKeyMD5)}
	case strings.HasPrefix(string(head.ServerSideEncryption), "aws:kms"):
		return bucket.Encryption{Kind: bucket.ByService, Key: aws.ToString(head.SSEKMSKeyId)}
	}
	return bucket.Encryption{}
}

// keyHeaders name the key of a key service. Without one, the bucket's own default holds.
func keyHeaders(e bucket.Encryption) (types.ServerSideEncryption, *string) {
	if e.Kind != bucket.ByService {
		return "", nil
	}
	return types.ServerSideEncryptionAwsKms, given(e.Key)
}

// coldClass says whether reading from a class costs by the byte, and whether it has to wait for a restore:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html.
func coldClass(class string) (cold, offline bool) {
	switch types.StorageClass(class) {
	case types.StorageClassGlacier, types.StorageClassDeepArchive:
		return true, true
	case types.StorageClassGlacierIr, types.StorageClassStandardIa, types.StorageClassOnezoneIa:
		return true, false
	}
	return false, false
}

// archivedListed reads the class and the restore status of a listing that was asked for it:
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreStatus.html.
func archivedListed(class s3page.Class) *bucket.Archived {
	cold, offline := coldClass(class.Name)
	if !cold {
		return nil
	}
	a := &bucket.Archived{Class: class.Name, Offline: offline}
	if offline {
		a.Restoring = class.Restoring
		a.Offline = a.Restoring || !class.Restored
	}
	return a
}

// archivedHead reads the same from a head, which also knows the archive tiers of Intelligent-Tiering:
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html, x-amz-restore and x-amz-archive-status.
func archivedHead(head *s3.HeadObjectOutput) *bucket.Archived {
	cold, offline := coldClass(string(head.StorageClass))
	tier := string(head.ArchiveStatus)
	if !cold && tier == "" {
		return nil
	}
	a := &bucket.Archived{Class: string(head.StorageClass), Offline: offline || tier != ""}
	if tier != "" {
		a.Class += " " + tier
	}
	if restore := aws.ToString(head.Restore); restore != "" {
		a.Restoring = strings.Contains(restore, `ongoing-request="true"`)
		a.Offline = a.Restoring
	}
	return a
}

// needsKey tells an object under a customer's key: S3 answers 400 to who looks at or reads it without the key. To a HEAD it gives no
// code: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html.
func needsKey(err error) bool {
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.HTTPStatusCode() != http.StatusBadRequest {
		return false
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return true
	}
	switch api.ErrorCode() {
	case "BadRequest", "Bad Request", "":
		return true
	case "InvalidRequest":
		return strings.Contains(api.ErrorMessage(), "Server Side Encryption")
	}
	return false
}

package gcs

import (
	"errors"
	"net/http"
	"strings"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

func (b *Bucket) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	return bucket.Lacks(right(op), bucket.Wrap(op, b.url, key, kind(err), err))
}

// right is the permission that an operation needs, as https://cloud.google.com/storage/docs/access-control/iam-json names it. The service
// answers a request without any credentials in the same way.
func right(op string) string {
	switch op {
	case "list", "check", "list versions":
		return "storage.objects.list"
	case "head", "open":
		return "storage.objects.get"
	case "put":
		return "storage.objects.create, and storage.objects.delete to replace what is there"
	case "copy":
		return "storage.objects.get at the source, and storage.objects.create and storage.objects.delete at the destination"
	case "delete", "delete version", "mark as deleted":
		return "storage.objects.delete"
	case "make":
		return "storage.buckets.create in the project"
	case "ask for versioning", "ask for the retention", "read the configuration":
		return "storage.buckets.get"
	case "read the policy":
		return "storage.buckets.getIamPolicy"
	}
	return ""
}

// kind finds the sentinel by the answer's status.
func kind(err error) error {
	if errors.Is(err, storage.ErrObjectNotExist) || errors.Is(err, storage.ErrBucketNotExist) {
		return bucket.ErrNotExist
	}
	switch reason(err) {
	case "objectUnderActiveHold", "retentionPolicyNotMet": // https://cloud.google.com/storage/docs/json_api/v1/status-codes
		return bucket.ErrLocked
	case "resourceIsEncryptedWithCustomerEncryptionKey":
		return bucket.ErrKeyNeeded
	}
	if said := (*googleapi.Error)(nil); errors.As(err, &said) && said.Code == http.StatusBadRequest && strings.Contains(said.Message, "doesn't match calculated") {
		// Of an MD5 that was given, as https://github.com/GoogleCloudPlatform/gsutil/pull/1382 shows it; the reason says "invalid", as of much else.
		return bucket.ErrDigest
	}
	return bucket.KindOfStatus(status(err))
}

func status(err error) int {
	var answer *googleapi.Error
	if errors.As(err, &answer) {
		return answer.Code
	}
	return 0
}

// reason is the service's own word for what went wrong.
func reason(err error) string {
	var answer *googleapi.Error
	if errors.As(err, &answer) && len(answer.Errors) > 0 {
		return answer.Errors[0].Reason
	}
	return ""
}

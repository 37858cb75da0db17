package azure

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

func (b *Bucket) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	found := kind(err)
	// The SDK's texts have many lines, and hold the request's URL, whose query may be a signature (I9).
	var broken *url.Error
	if errors.As(err, &broken) {
		err = fmt.Errorf("%s of the service: %w", broken.Op, broken.Err)
	}
	var answer *azcore.ResponseError
	if errors.As(err, &answer) {
		err = fmt.Errorf("the service answers %d %s", answer.StatusCode, answer.ErrorCode)
	}
	wrapped := bucket.Wrap(op, b.url, key, found, err)
	if answer != nil && bloberror.Code(answer.ErrorCode) == bloberror.AuthenticationFailed {
		return wrapped // the credentials as such
	}
	return bucket.Lacks(right(op), wrapped)
}

// opTags is the operation that reads the tags of a blob that was found.
const opTags = "read the tags of"

// right is the role that an operation needs, and the letters of a shared access signature, as
// https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-azure-active-directory and
// https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas have them.
func right(op string) string {
	const data = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/"
	switch op {
	case "list", "check":
		return data + "read (the role Storage Blob Data Reader, or l of a shared access signature)"
	case "head", "open":
		return data + "read (the role Storage Blob Data Reader, or r of a shared access signature)"
	case opTags:
		return data + "tags/read (the role Storage Blob Data Owner, or t of a shared access signature)"
	case "put":
		return data + "write, and for what has tags " + data + "tags/write (the role Storage Blob Data Contributor or Owner, or w and t of a shared access signature)"
	case "delete":
		return data + "delete (the role Storage Blob Data Contributor, or d of a shared access signature)"
	case "make":
		return "Microsoft.Storage/storageAccounts/blobServices/containers/write (the role Storage Blob Data Contributor)"
	}
	return ""
}

// Codes of accounts with a hierarchical namespace, which the SDK has no names for. They were seen in
// https://github.com/Azure/azure-cli/issues/23062, https://github.com/Azure/azure-storage-fuse/issues/1068 and
// https://github.com/Azure/azure-storage-node/issues/632; the first two are in
// https://learn.microsoft.com/rest/api/storageservices/datalakestoragegen2/path/create too.
const (
	directoryIsNotEmpty bloberror.Code = "DirectoryIsNotEmpty"
	pathConflict        bloberror.Code = "PathConflict"
	notOnDirectory      bloberror.Code = "OperationNotSupportedOnDirectory"
	notYetHierarchical  bloberror.Code = "FeatureNotYetSupportedForHierarchicalNamespaceAccounts"
)

// kind finds the sentinel by the error's code, and by the status where an answer has no code.
func kind(err error) error {
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) {
		return nil
	}
	switch bloberror.Code(answer.ErrorCode) {
	case bloberror.BlobNotFound, bloberror.ContainerNotFound, bloberror.ResourceNotFound, bloberror.ContainerBeingDeleted:
		return bucket.ErrNotExist
	case bloberror.ConditionNotMet, bloberror.TargetConditionNotMet, bloberror.BlobAlreadyExists:
		return bucket.ErrPrecondition
	case bloberror.AuthenticationFailed, bloberror.AuthorizationFailure, bloberror.AuthorizationPermissionMismatch, bloberror.NoAuthenticationInformation:
		return bucket.ErrDenied
	case bloberror.BlobArchived, bloberror.BlobBeingRehydrated:
		return bucket.ErrArchived
	case bloberror.MD5Mismatch:
		return bucket.ErrDigest
	case bloberror.BlobImmutableDueToPolicy:
		return bucket.ErrLocked
	case bloberror.BlobUsesCustomerSpecifiedEncryption:
		return bucket.ErrKeyNeeded
	case bloberror.ServerBusy:
		return bucket.ErrSlowDown
	case directoryIsNotEmpty:
		return bucket.ErrNotEmpty
	case pathConflict, notOnDirectory, notYetHierarchical, bloberror.InvalidURI, bloberror.ResourceTypeMismatch:
		return bucket.ErrUnsupported
	case bloberror.InvalidRange, bloberror.MetadataTooLarge, bloberror.InvalidMetadata, bloberror.EmptyMetadataKey,
		bloberror.InvalidResourceName, bloberror.RequestBodyTooLarge, bloberror.BlockCountExceedsLimit, bloberror.InvalidBlobTier:
		return bucket.ErrUnsupported
	}
	return bucket.KindOfStatus(answer.StatusCode)
}

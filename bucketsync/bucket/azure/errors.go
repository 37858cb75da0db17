package azure

import (
	"errors"
	"fmt"
	"net/http"
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
	return bucket.Wrap(op, b.url, key, found, err)
}

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
	case bloberror.BlobImmutableDueToPolicy:
		return bucket.ErrLocked
	case bloberror.BlobUsesCustomerSpecifiedEncryption:
		return bucket.ErrKeyNeeded
	case bloberror.ServerBusy:
		return bucket.ErrSlowDown
	case bloberror.InvalidRange, bloberror.MetadataTooLarge, bloberror.InvalidMetadata, bloberror.EmptyMetadataKey,
		bloberror.InvalidResourceName, bloberror.RequestBodyTooLarge, bloberror.BlockCountExceedsLimit, bloberror.InvalidBlobTier:
		return bucket.ErrUnsupported
	}
	switch answer.StatusCode {
	case http.StatusNotFound:
		return bucket.ErrNotExist
	case http.StatusPreconditionFailed:
		return bucket.ErrPrecondition
	case http.StatusUnauthorized, http.StatusForbidden:
		return bucket.ErrDenied
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return bucket.ErrSlowDown
	case http.StatusRequestedRangeNotSatisfiable, http.StatusNotImplemented:
		return bucket.ErrUnsupported
	}
	return nil
}

package azuredns

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// failed says whether a condition of a request was false: nothing was changed by it.
func failed(err error) bool {
	var refused *azcore.ResponseError
	return errors.As(err, &refused) && refused.StatusCode == http.StatusPreconditionFailed
}

// uncertain says whether a request may have been carried out although it brought an error.
func uncertain(err error) bool {
	var refused *azcore.ResponseError
	var login *azidentity.AuthenticationFailedError
	switch {
	case err == nil, errors.As(err, &login):
		return false
	case errors.As(err, &refused):
		return refused.StatusCode >= http.StatusInternalServerError || refused.StatusCode == http.StatusRequestTimeout
	case errors.Is(err, zone.ErrInvalid), errors.Is(err, zone.ErrFenced), errors.Is(err, zone.ErrConflict), errors.Is(err, zone.ErrMoved):
		return false
	}
	return true
}

// errorOf gives an error the sentinel that callers look for, and what mends it.
func (d *Driver) errorOf(op string, err error) error {
	var told *zone.Error
	if errors.As(err, &told) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var login *azidentity.AuthenticationFailedError
	if errors.As(err, &login) {
		return &zone.Error{Op: op, Hint: "check tenant, client and secret of the zone", Err: fmt.Errorf("%w: %w", zone.ErrDenied, err)}
	}
	var refused *azcore.ResponseError
	if !errors.As(err, &refused) {
		return &zone.Error{Op: op, Err: err}
	}
	short := fmt.Errorf("the API answered %d %s", refused.StatusCode, refused.ErrorCode)
	switch {
	case refused.ErrorCode == "ScopeLocked":
		return &zone.Error{Op: op, Hint: "a resource lock forbids changes there: take it away for the migration", Err: fmt.Errorf("%w: %w", zone.ErrDenied, short)}
	case refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden:
		return &zone.Error{Op: op, Hint: "give the role DNS Zone Contributor for the zone", Err: fmt.Errorf("%w: %w", zone.ErrDenied, short)}
	case refused.StatusCode == http.StatusPreconditionFailed:
		return &zone.Error{Op: op, Err: fmt.Errorf("%w: its etag is not the one that was read: %w", zone.ErrMoved, short)}
	case refused.StatusCode == http.StatusConflict:
		return &zone.Error{Op: op, Err: fmt.Errorf("%w: %w", zone.ErrConflict, short)}
	case refused.StatusCode == http.StatusBadRequest:
		return &zone.Error{Op: op, Err: fmt.Errorf("%w: %w", zone.ErrInvalid, err)}
	case refused.StatusCode == http.StatusNotFound:
		return &zone.Error{Op: op, Hint: fmt.Sprintf("is the zone %s in the resource group %s of that subscription?", d.zone, d.group), Err: short}
	case refused.StatusCode == http.StatusTooManyRequests:
		return &zone.Error{Op: op, Hint: "others use up the subscription's requests: try again later", Err: short}
	}
	return &zone.Error{Op: op, Err: fmt.Errorf("%w: %w", short, err)}
}

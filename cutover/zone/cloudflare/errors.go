package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// Codes of the API's errors that matter here.
const (
	codeGone      = 81044 // Record does not exist.
	codeExists    = 81053 // An A, AAAA, or CNAME record with that host already exists.
	codeAlias     = 81054 // A CNAME record with that host already exists.
	codeSame      = 81057 // The record already exists.
	codeIdentical = 81058 // An identical record already exists.
	codeTTL       = 9021  // Invalid TTL.
)

// failed says whether a batch was refused because the zone is not as it was read: a record that is gone, or one that is
// there now. Nothing was changed by it.
func failed(err error) bool {
	var refused *refusal
	return errors.As(err, &refused) && refused.has(codeGone, codeExists, codeAlias, codeSame, codeIdentical)
}

// uncertain says whether a request may have been carried out although it brought an error.
func uncertain(err error) bool {
	var refused *refusal
	switch {
	case err == nil, failed(err):
		return false
	case errors.As(err, &refused):
		return refused.status >= http.StatusInternalServerError || refused.status < http.StatusBadRequest
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
	var refused *refusal
	if !errors.As(err, &refused) {
		return &zone.Error{Op: op, Err: err}
	}
	with := func(hint string, sentinel error) error {
		return &zone.Error{Op: op, Hint: hint, Err: fmt.Errorf("%w: %w", sentinel, err)}
	}
	switch {
	case refused.status == http.StatusUnauthorized || refused.status == http.StatusForbidden:
		return with("give an API token with the permission DNS Write for the zone", zone.ErrDenied)
	case refused.has(codeExists, codeAlias, codeSame, codeIdentical):
		return with("", zone.ErrConflict)
	case refused.has(codeGone):
		return with("", zone.ErrMoved)
	case refused.has(codeTTL):
		return with("Cloudflare takes TTLs from 60 s on, from 30 s on in Enterprise zones: set cutover.ttl to that", zone.ErrInvalid)
	case refused.status == http.StatusTooManyRequests:
		return &zone.Error{Op: op, Hint: "others use up the user's requests, 1200 in 5 minutes: try again later", Err: err}
	case refused.status == http.StatusNotFound:
		return &zone.Error{Op: op, Hint: "check cloudflare.zoneID, and that the token may see the zone", Err: err}
	case refused.status == http.StatusBadRequest:
		return with("", zone.ErrInvalid)
	}
	return &zone.Error{Op: op, Err: err}
}

package clouddns

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/api/googleapi"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/internal/transaction"
)

// classify adds to an error of the service the sentinel that it stands for. An error without one leaves open what happened.
func classify(err error) error {
	var api *googleapi.Error
	if !errors.As(err, &api) {
		return err
	}
	switch {
	case api.Code == http.StatusTooManyRequests, api.Code == http.StatusForbidden && reason(api, "rateLimitExceeded", "userRateLimitExceeded"):
		return fmt.Errorf("%w: %w", transaction.ErrBusy, err)
	case api.Code == http.StatusForbidden, api.Code == http.StatusUnauthorized:
		return fmt.Errorf("%w: %w", zone.ErrDenied, err)
	case api.Code == http.StatusNotFound, api.Code == http.StatusBadRequest:
		return fmt.Errorf("%w: %w", zone.ErrInvalid, err)
	}
	return err
}

// classifyChange knows what a change is refused with: 404 for a deletion of a set that is not there, 412 for one that is not exactly
// what is there, 409 for an addition that is there already ("Error messages", Cloud DNS); a CNAME beside others has a reason of
// its own.
func classifyChange(err error) error {
	var api *googleapi.Error
	if !errors.As(err, &api) {
		return err
	}
	switch {
	case api.Code == http.StatusPreconditionFailed, api.Code == http.StatusConflict, reason(api, "cnameResourceRecordSetConflict"),
		api.Code == http.StatusNotFound && strings.Contains(api.Message, "entity.change"):
		return fmt.Errorf("%w: %w", transaction.ErrCondition, err)
	}
	return classify(err)
}

func reason(api *googleapi.Error, reasons ...string) bool {
	return slices.ContainsFunc(api.Errors, func(i googleapi.ErrorItem) bool { return slices.Contains(reasons, i.Reason) })
}

// hint says what mends an error.
func hint(err error) string {
	var api *googleapi.Error
	switch {
	case errors.Is(err, zone.ErrDenied):
		return "give the account dns.managedZones.get, dns.resourceRecordSets.list, .create, .update and .delete, dns.changes.create and .get on the zone: the role roles/dns.admin has them"
	case errors.Is(err, transaction.ErrBusy):
		return "others use up the project's quota of requests: try again later"
	case errors.As(err, &api) && api.Code == http.StatusNotFound:
		return "compare project and managedZone with what the project has"
	}
	return ""
}

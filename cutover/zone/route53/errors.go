package route53

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/aws/smithy-go"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/internal/transaction"
)

// classify adds to an error of the SDK the sentinel that it stands for. An error without one leaves open what happened.
func classify(err error) error {
	var batch *types.InvalidChangeBatch
	if errors.As(err, &batch) {
		text := strings.Join(append(slices.Clone(batch.Messages), batch.ErrorMessage()), " ")
		kind := zone.ErrInvalid
		for _, condition := range []string{"Tried to delete", "Tried to create", "already exists", "cannot be created as", "conflict"} {
			if strings.Contains(text, condition) {
				kind = transaction.ErrCondition
			}
		}
		return fmt.Errorf("%w: InvalidChangeBatch: %s", kind, strings.TrimSpace(text))
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch api.ErrorCode() {
	case "Throttling", "ThrottlingException", "PriorRequestNotComplete":
		return fmt.Errorf("%w: %w", transaction.ErrBusy, err)
	case "NoSuchHostedZone", "InvalidInput", "InvalidDomainName", "NoSuchChange":
		return fmt.Errorf("%w: %w", zone.ErrInvalid, err)
	}
	var reply *awshttp.ResponseError
	if errors.As(err, &reply) && (reply.HTTPStatusCode() == http.StatusForbidden || reply.HTTPStatusCode() == http.StatusUnauthorized) {
		return fmt.Errorf("%w: %w", zone.ErrDenied, err)
	}
	return err
}

// hint says what mends an error.
func hint(err error) string {
	var api smithy.APIError
	switch {
	case errors.Is(err, zone.ErrDenied):
		return "give the account route53:ListResourceRecordSets, route53:ChangeResourceRecordSets, route53:GetHostedZone (or route53:ListHostedZonesByName, where the file names no hosted zone) and route53:GetChange"
	case errors.Is(err, transaction.ErrBusy):
		return "others use up the account's five requests a second: try again later"
	case errors.As(err, &api) && api.ErrorCode() == "NoSuchHostedZone":
		return "compare hostedZone with the IDs that the account has"
	}
	return ""
}

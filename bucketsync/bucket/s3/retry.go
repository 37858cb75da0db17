package s3

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossfade-project/crossfade/internal/silence"
)

const maxDelay = 20 * time.Second

// newRetryer is the SDK's own, but for three things: a server that is silent is not asked again, it waits as long as the server asks for (B14), and retries cost
// nothing of a budget that all requests of the client share, since the engine limits how many there are.
func newRetryer(attempts int) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.MaxBackoff = maxDelay
		o.RateLimiter = ratelimit.None
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(silent)}, o.Retryables...)
		o.Backoff = backoff{retry.NewExponentialJitterBackoff(maxDelay)}
	})
}

// silent leaves it to the caller to ask a silent server once more: it can say that it waits, and for what.
func silent(err error) aws.Ternary {
	var s *silence.Error
	if errors.As(err, &s) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

type backoff struct{ otherwise retry.BackoffDelayer }

func (b backoff) BackoffDelay(attempt int, cause error) (time.Duration, error) {
	var answer *smithyhttp.ResponseError
	if errors.As(cause, &answer) && answer.Response != nil {
		if delay, ok := retryAfter(answer.Response.Header); ok {
			return min(delay, 3*maxDelay), nil
		}
	}
	return b.otherwise.BackoffDelay(attempt, cause)
}

func retryAfter(header http.Header) (time.Duration, bool) {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	return time.Duration(seconds) * time.Second, err == nil && seconds >= 0
}

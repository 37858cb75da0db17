package s3

import (
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/crossfade-project/crossfade/internal/silence"
)

const maxDelay = 20 * time.Second

// newRetryer is the SDK's own, but for two things: a server that is silent is not asked again, and retries cost
// nothing of a budget that all requests of the client share, since the engine limits how many there are.
func newRetryer(attempts int) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.MaxBackoff = maxDelay
		o.RateLimiter = ratelimit.None
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(silent)}, o.Retryables...)
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

package route53

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/internal/transaction"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/silence"
)

// Options describe one hosted zone. Only Apex is needed.
type Options struct {
	// Apex is the zone's name.
	Apex string
	// HostedZone is the ID of the hosted zone. Empty means the one hosted zone of that name that is public, or private where
	// Private is set.
	HostedZone string
	Private    bool
	// Region chooses the partition. Empty is what the SDK's chain says, else us-east-1.
	Region string
	// Endpoint is a URL of another server than Amazon's.
	Endpoint string
	// Profile of the SDK's shared configuration, for its chain.
	Profile string
	// Credentials are used as they are; empty ones leave it to the SDK's chain.
	Credentials Credentials
	// Role is the ARN of a role that is assumed with them, ExternalID what its trust policy asks for.
	Role, ExternalID string
	// Limits are shared by all drivers of one program. Nil means that this is the only one.
	Limits *Limits
	// Attempts is how often one change is sent at most. 0 is 3.
	Attempts int
	// Poll is the time between two questions whether a change is INSYNC. 0 is 2 s.
	Poll time.Duration
	// Sync is how long a change may stay PENDING. 0 is 5 min.
	Sync time.Duration
	// Backoff is the longest pause before a request that was turned away is sent again. 0 is 20 s.
	Backoff time.Duration
	// Silence bounds how long the service may say nothing.
	Silence silence.Limit
	// Clock paces requests and polls. Nil is the machine's.
	Clock clock.Clock
	// Log gets warnings. Nil is silent.
	Log *slog.Logger
}

// Credentials of an account, resolved.
type Credentials struct {
	AccessKey, SecretKey string
}

// turnedAway is how often a request is sent in all that the service turns away as one too many.
const turnedAway = 8

// New checks the options and reads the SDK's configuration. It makes no request to Route 53.
func New(ctx context.Context, o Options) (*Driver, error) {
	a := &api{opts: o}
	engine, err := transaction.New(a, transaction.Options{
		Apex: o.Apex, Where: "Route 53", Attempts: o.Attempts, Poll: o.Poll, Limit: o.Sync, Weighable: weighable, Hint: hint, Clock: o.Clock, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	a.apex = engine.Apex()
	fail := func(hint string, err error) (*Driver, error) {
		return nil, &zone.Error{Op: "set up the hosted zone " + a.apex, Hint: hint, Err: err}
	}
	if o.Endpoint != "" && !strings.HasPrefix(o.Endpoint, "http://") && !strings.HasPrefix(o.Endpoint, "https://") {
		return fail("write https://"+o.Endpoint, fmt.Errorf("the endpoint %s has no scheme", o.Endpoint))
	}
	if (o.Credentials.AccessKey == "") != (o.Credentials.SecretKey == "") {
		return fail("give both", errors.New("the access key or its secret is missing"))
	}
	cfg, err := awsConfig(ctx, o)
	if err != nil {
		return fail("check the profile and the SDK's configuration files", fmt.Errorf("read the SDK's configuration: %w", err))
	}
	limits := o.Limits
	if limits == nil {
		limits = new(Limits)
	}
	var clk clock.Clock = clock.System{}
	if o.Clock != nil {
		clk = o.Clock
	}
	pace := limits.of(accountOf(o.Role))
	a.client = route53.NewFromConfig(cfg, func(c *route53.Options) {
		c.HTTPClient = &paced{next: c.HTTPClient, pace: pace, clock: clk}
		if o.Endpoint != "" {
			c.BaseEndpoint = aws.String(o.Endpoint)
		}
	})
	return &Driver{Engine: engine, api: a}, nil
}

func awsConfig(ctx context.Context, o Options) (aws.Config, error) {
	load := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer { return retryer(o, true) }),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.DialContext = o.Silence.Dial() })),
		config.WithLogger(logging.Nop{}), // what it would say is in the errors
	}
	if o.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(o.Profile))
	}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.Credentials.AccessKey != "" {
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(o.Credentials.AccessKey, o.Credentials.SecretKey, "")))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return cfg, err
	}
	cfg.Region = cmp.Or(cfg.Region, "us-east-1")
	if o.Role != "" {
		cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), o.Role, func(a *stscreds.AssumeRoleOptions) {
			a.RoleSessionName = "crossfade"
			if o.ExternalID != "" {
				a.ExternalID = aws.String(o.ExternalID)
			}
		}))
	}
	return cfg, nil
}

// retryer sends a request again that was turned away; one that only reads also where the answer was lost. A change whose answer
// was lost is not sent again by the SDK: it is read back first (C4).
func retryer(o Options, reads bool) aws.Retryer {
	return retry.NewStandard(func(r *retry.StandardOptions) {
		r.MaxAttempts = turnedAway
		r.MaxBackoff = cmp.Or(o.Backoff, 20*time.Second)
		r.Backoff = retry.NewExponentialJitterBackoff(r.MaxBackoff)
		r.RateLimiter = ratelimit.None
		if !reads {
			r.Retryables = []retry.IsErrorRetryable{retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes}}
		}
	})
}

// accountOf reads the account out of a role's ARN: arn:aws:iam::ACCOUNT:role/NAME.
func accountOf(role string) string {
	if parts := strings.Split(role, ":"); len(parts) > 4 {
		return parts[4]
	}
	return ""
}

package clouddns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"google.golang.org/api/dns/v1"
	"google.golang.org/api/option"
	transport "google.golang.org/api/transport/http"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/internal/transaction"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/silence"
)

// Options describe one managed zone. Apex, Project and ManagedZone are needed.
type Options struct {
	// Apex is the zone's DNS name.
	Apex string
	// Project that the zone belongs to.
	Project string
	// ManagedZone is the zone's name in the project, or its number.
	ManagedZone string
	// Credentials are used as they are; empty ones leave it to Google's default chain.
	Credentials Credentials
	// Endpoint is a URL of another server than Google's, without a path.
	Endpoint string
	// Attempts is how often one change is sent at most. 0 is 3.
	Attempts int
	// Poll is the time between two questions whether a change is done. 0 is 2 s.
	Poll time.Duration
	// Done is how long a change may stay pending. 0 is 5 min.
	Done time.Duration
	// Silence bounds how long the service may say nothing.
	Silence silence.Limit
	// Clock is for polls and for requests that were turned away. Nil is the machine's.
	Clock clock.Clock
	// Log gets warnings. Nil is silent.
	Log *slog.Logger
}

// Credentials of Google, resolved. At most one is set.
type Credentials struct {
	// ServiceAccount is the content of a service account's key file.
	ServiceAccount []byte
	// Anonymous sends requests without credentials, as emulators take them.
	Anonymous bool
}

// New checks the options. It makes no request to Cloud DNS.
func New(ctx context.Context, o Options) (*Driver, error) {
	a := &api{opts: o}
	engine, err := transaction.New(a, transaction.Options{
		Apex: o.Apex, Where: "Cloud DNS", Attempts: o.Attempts, Poll: o.Poll, Limit: o.Done, Hint: hint, Clock: o.Clock, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	a.apex = engine.Apex()
	fail := func(hint string, err error) (*Driver, error) {
		return nil, &zone.Error{Op: "set up the managed zone " + a.apex, Hint: hint, Err: err}
	}
	if o.Project == "" || o.ManagedZone == "" {
		return fail("give project and managedZone", errors.New("the project or the managed zone is not named"))
	}
	if o.Endpoint != "" && !strings.HasPrefix(o.Endpoint, "http://") && !strings.HasPrefix(o.Endpoint, "https://") {
		return fail("write https://"+o.Endpoint, fmt.Errorf("the endpoint %s has no scheme", o.Endpoint))
	}
	if a.service, err = newService(ctx, o); err != nil {
		return fail("give a service account's key by serviceAccount, or set up Google's default credentials", err)
	}
	return &Driver{Engine: engine, api: a}, nil
}

func newService(ctx context.Context, o Options) (*dns.Service, error) {
	auth := []option.ClientOption{option.WithScopes(dns.NdevClouddnsReadwriteScope), option.WithTelemetryDisabled()}
	switch c := o.Credentials; {
	case c.Anonymous:
		auth = []option.ClientOption{option.WithoutAuthentication(), option.WithTelemetryDisabled()}
	case len(c.ServiceAccount) > 0:
		auth = append(auth, option.WithAuthCredentialsJSON(option.ServiceAccount, c.ServiceAccount))
	}
	plain, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the program has replaced the default HTTP transport")
	}
	base := plain.Clone()
	base.DialContext = o.Silence.Dial()
	// Tokens are fetched long after this call.
	signed, err := transport.NewTransport(context.WithoutCancel(ctx), base, auth...)
	if err != nil {
		return nil, fmt.Errorf("find credentials: %w", err)
	}
	var clk clock.Clock = clock.System{}
	if o.Clock != nil {
		clk = o.Clock
	}
	opts := []option.ClientOption{option.WithHTTPClient(&http.Client{Transport: &patient{next: signed, clock: clk}})}
	if o.Endpoint != "" {
		opts = append(opts, option.WithEndpoint(strings.TrimSuffix(o.Endpoint, "/")+"/"))
	}
	return dns.NewService(ctx, opts...)
}

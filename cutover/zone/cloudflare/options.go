package cloudflare

import (
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/crossfade-project/crossfade/cutover/zone/internal/throttle"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/silence"
)

// Options describe one zone. Apex and Token are needed.
type Options struct {
	// Apex is the zone's name.
	Apex string
	// ZoneID is the zone's ID. Empty means the one zone of that name that the token can see.
	ZoneID string
	// Token is an API token with the permission DNS Write for the zone, and Zone Read where ZoneID is empty.
	Token string
	// Endpoint is the URL of the API; empty means https://api.cloudflare.com/client/v4.
	Endpoint string
	// Limits are shared by all zones of one user. Nil is for this zone alone.
	Limits *Limits

	// Attempts is how often one change is tried at most. Zero means 3.
	Attempts int
	// Timeout bounds reading back after a change was sent. Zero means 1 min.
	Timeout time.Duration
	// Settle is how long the API may show old records after it has acknowledged new ones. Zero means 10 s.
	Settle time.Duration
	// Silence bounds how long the API may say nothing.
	Silence silence.Limit
	// Clock waits; nil is the system's. Log gets what is worth a line; nil is silent.
	Clock clock.Clock
	Log   *slog.Logger

	// Transport, where set, sends the requests in the place of one of our own.
	Transport http.RoundTripper
}

const (
	endpoint = "https://api.cloudflare.com/client/v4"
	// Cloudflare allows 1200 requests in 5 min and blocks a user who sends more for the next 5 min (page "Rate limits").
	// Any window of 5 min takes at most what is saved up and what is added meanwhile; some are left to others.
	window   = 5 * time.Minute
	allowed  = 1100
	saved    = 100
	patience = 6 * time.Minute
)

// Limits keep all zones of one user together within Cloudflare's limit of requests. The zero value is ready. It may be used
// by several goroutines at once.
type Limits struct {
	once    sync.Once
	limiter *rate.Limiter
}

func (l *Limits) get() *rate.Limiter {
	l.once.Do(func() { l.limiter = rate.NewLimiter(rate.Every(window/(allowed-saved)), saved) })
	return l.limiter
}

func (o Options) client() (*http.Client, error) {
	next := o.Transport
	if next == nil {
		plain, ok := http.DefaultTransport.(*http.Transport)
		if !ok {
			return nil, errors.New("the process has replaced Go's default HTTP transport")
		}
		plain = plain.Clone()
		plain.DialContext = o.Silence.Dial()
		next = plain
	}
	limits := o.Limits
	if limits == nil {
		limits = &Limits{}
	}
	return &http.Client{Transport: &throttle.Transport{Next: next, Limit: limits.get(), Patience: patience, Clock: o.Clock, Log: o.Log}}, nil
}

package rfc2136

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// A Key signs messages with TSIG.
type Key struct {
	Name string
	// Algorithm is hmac-sha224, -sha256, -sha384 or -sha512. hmac-sha1 is accepted with a warning, hmac-md5 refused.
	// Empty means hmac-sha256.
	Algorithm string
	// Secret is in base64, as key files hold it. It is never printed.
	Secret string
}

// Options describe one zone at its primary.
type Options struct {
	// Apex is the zone's name.
	Apex string
	// Server is the primary's address, "192.0.2.53" or "192.0.2.53:53".
	Server string
	Key    Key
	// Timeout bounds one message and its reply. Zero means 5 s.
	Timeout time.Duration
	// Attempts is how many messages one change may send at most. Zero means 3.
	Attempts int
	// Settle is how long a primary may show the old records after it has acknowledged new ones, as BIND does while it
	// signs a copy of the zone. Zero means 10 s.
	Settle time.Duration
	// Fudge is how far the clocks may differ, in whole seconds. Zero means 300 s (RFC 8945 section 10).
	Fudge time.Duration
	// Log gets warnings. Nil is silent.
	Log *slog.Logger
	// Now is the clock that signs. Nil means time.Now.
	Now func() time.Time
	// Dial, where set, opens connections.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

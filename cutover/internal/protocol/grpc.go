package protocol

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	portHTTP  = 80
	portHTTPS = 443
)

// Health is a question to the standard health service (GRPC Health Checking Protocol).
type Health struct {
	// Service that is asked about. Empty means the server as a whole.
	Service   string
	Plaintext bool
	// Metadata is sent along.
	Metadata map[string]string
}

func (h Health) String() string {
	if h.Service == "" {
		return "the server"
	}
	return "service " + strconv.Quote(h.Service)
}

// Health asks the health service under the hostname. Anything but SERVING is an error.
func (t Target) Health(ctx context.Context, h Health) error {
	var seen dialed
	conn, err := grpc.NewClient("passthrough:///"+t.Addr.String(), t.grpcOptions(h, &seen)...)
	if err != nil {
		return unclear("the connection could not be made ready: %v", err)
	}
	// Nothing is under way any more that a failed close could lose.
	defer func() { _ = conn.Close() }()
	ctx = metadata.NewOutgoingContext(ctx, metadata.New(h.Metadata))
	reply, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: h.Service})
	if err != nil {
		return healthFailed(ctx, h, err, seen.err())
	}
	switch reply.GetStatus() {
	case healthpb.HealthCheckResponse_SERVING:
		return nil
	case healthpb.HealthCheckResponse_UNKNOWN:
		return unclear("%s says UNKNOWN of itself", h)
	}
	return refused("%s is %s", h, reply.GetStatus())
}

// healthFailed tells a server that says no from one that says nothing. The library gives Unavailable for both, so what the
// connection met decides.
func healthFailed(ctx context.Context, h Health, err, dial error) error {
	switch status.Code(err) {
	case codes.NotFound:
		return refused("the server does not know the service %q: write it as the server registers it, or leave it out for the server as a whole", h.Service)
	case codes.Unimplemented:
		return refused("the server does not implement grpc.health.v1.Health: register the health service, or use another check")
	case codes.Unavailable, codes.DeadlineExceeded:
		var network net.Error
		if dial != nil && !errors.As(dial, &network) && !errors.Is(dial, context.DeadlineExceeded) {
			return refused("%v", dial) // a handshake that ended: no HTTP/2 there, or a certificate that clients refuse
		}
		if dial != nil {
			return dial
		}
		if ctx.Err() != nil {
			return ErrTimeUp
		}
	case codes.Canceled:
		return unclear("it was broken off")
	}
	return refused("the health service answers %s: %s", status.Code(err), status.Convert(err).Message())
}

func (t Target) grpcOptions(h Health, seen *dialed) []grpc.DialOption {
	authority, creds := t.Hostname, credentials.TransportCredentials(insecure.NewCredentials())
	usual := uint16(portHTTP)
	if !h.Plaintext {
		usual = portHTTPS
		creds = &noticed{TransportCredentials: credentials.NewTLS(&tls.Config{RootCAs: t.Roots, MinVersion: tls.VersionTLS12}), seen: seen}
	}
	if t.Addr.Port() != usual {
		authority = net.JoinHostPort(t.Hostname, strconv.Itoa(int(t.Addr.Port())))
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(creds), grpc.WithAuthority(authority), grpc.WithNoProxy(), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			seen.note(err)
			return conn, err
		}),
	}
}

// dialed keeps what became of the last attempt to connect: the library makes it elsewhere.
type dialed struct {
	mu   sync.Mutex
	last error
}

func (d *dialed) note(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = err
}

func (d *dialed) err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

// noticed notes what a handshake ends with.
type noticed struct {
	credentials.TransportCredentials
	seen *dialed
}

// ClientHandshake implements credentials.TransportCredentials.
func (n *noticed) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := n.TransportCredentials.ClientHandshake(ctx, authority, raw)
	n.seen.note(err)
	return conn, info, err
}

// Clone implements credentials.TransportCredentials.
func (n *noticed) Clone() credentials.TransportCredentials {
	return &noticed{TransportCredentials: n.TransportCredentials.Clone(), seen: n.seen}
}

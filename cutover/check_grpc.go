package cutover

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// grpc asks the standard health service (GRPC Health Checking Protocol) under the real hostname. Only SERVING passes.
func (p probe) grpc(ctx context.Context) finding {
	var seen dialed
	conn, err := grpc.NewClient("passthrough:///"+p.address(), p.grpcOptions(&seen)...)
	if err != nil {
		return unknown("the connection could not be made ready: %v", err)
	}
	// Nothing is under way any more that a failed close could lose.
	defer func() { _ = conn.Close() }()
	name := p.opts.Migration
	if name == "" {
		name = "crossfade"
	}
	ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(HeaderProbe), name)
	reply, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: p.check.GRPC.Service})
	if err != nil {
		return p.grpcFailed(ctx, err, seen.err())
	}
	switch reply.GetStatus() {
	case healthpb.HealthCheckResponse_SERVING:
		return passed("%s is SERVING", p.grpcService())
	case healthpb.HealthCheckResponse_UNKNOWN:
		return unknown("%s says UNKNOWN of itself", p.grpcService())
	}
	return failed("%s is %s", p.grpcService(), reply.GetStatus())
}

func (p probe) grpcService() string {
	if p.check.GRPC.Service == "" {
		return "the server"
	}
	return "service " + strconv.Quote(p.check.GRPC.Service)
}

// grpcFailed tells a server that says no from one that says nothing. The library gives Unavailable for both, so what the
// connection met decides.
func (p probe) grpcFailed(ctx context.Context, err, dial error) finding {
	switch status.Code(err) {
	case codes.NotFound:
		return failed("the server does not know the service %q: write it as the server registers it, or leave it out for the server as a whole", p.check.GRPC.Service)
	case codes.Unimplemented:
		return failed("the server does not implement grpc.health.v1.Health: register the health service, or use another check")
	case codes.Unavailable, codes.DeadlineExceeded:
		var network net.Error
		if dial != nil && !errors.As(dial, &network) && !errors.Is(dial, context.DeadlineExceeded) {
			return failed("%v", dial) // a handshake that ended: no HTTP/2 there, or a certificate that clients refuse
		}
		if dial != nil {
			return httpNoAnswer(dial)
		}
		if ctx.Err() != nil {
			return finding{outcome: Inconclusive, text: "no answer within " + p.timeout().String(), silent: true}
		}
	case codes.Canceled:
		return unknown("it was broken off")
	}
	return failed("the health service answers %s: %s", status.Code(err), status.Convert(err).Message())
}

func (p probe) grpcOptions(seen *dialed) []grpc.DialOption {
	host := strings.TrimSuffix(p.entry.Hostname, ".")
	authority, creds := host, credentials.TransportCredentials(insecure.NewCredentials())
	usual := portHTTP
	if !p.check.GRPC.Plaintext {
		usual = portHTTPS
		creds = &noticed{TransportCredentials: credentials.NewTLS(&tls.Config{RootCAs: p.opts.Roots, MinVersion: tls.VersionTLS12}), seen: seen}
	}
	if p.port != usual {
		authority = net.JoinHostPort(host, strconv.Itoa(p.port))
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

package cutover_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// selfSigned is a certificate for a name and the pool that trusts it.
func selfSigned(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// startGRPC starts a real gRPC server; register may be nil.
func startGRPC(t *testing.T, register func(*grpc.Server), opts ...grpc.ServerOption) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(opts...)
	if register != nil {
		register(server)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

func grpcGate(t *testing.T, at netip.AddrPort, check migration.GRPCCheck, roots *x509.CertPool, timeout time.Duration) cutover.Gate {
	t.Helper()
	opts := cutover.Options{Migration: "move", Roots: roots, Applications: []migration.Application{{
		Name:      "shop",
		Hostnames: []migration.Hostname{{Name: "shop.apps.test", Port: int(at.Port()), Green: &migration.Entry{Address: at.Addr().String()}}},
		Checks:    []migration.Check{{Name: "health", GRPC: &check, Timeout: migration.Duration(timeout)}},
	}}}
	entries, err := cutover.FindEntries(t.Context(), opts, "shop")
	if err != nil {
		t.Fatal(err)
	}
	gates, err := cutover.Check(t.Context(), cutover.CheckOptions{Options: opts, App: "shop", Side: "green", Entries: entries})
	if err != nil {
		t.Fatal(err)
	}
	return gates[0]
}

// A real health server of grpc-go, in plaintext and under TLS with the real hostname as SNI and authority.
func TestC20_GRPCHealth(t *testing.T) {
	const limit = 10 * time.Second
	states := health.NewServer()
	states.SetServingStatus("shop.Cart", healthpb.HealthCheckResponse_SERVING)
	states.SetServingStatus("shop.Pay", healthpb.HealthCheckResponse_NOT_SERVING)
	states.SetServingStatus("shop.New", healthpb.HealthCheckResponse_UNKNOWN)
	var probe, authority atomic.Value
	seen := grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		probe.Store(strings.Join(md.Get("x-crossfade-probe"), ","))
		authority.Store(strings.Join(md.Get(":authority"), ","))
		return next(ctx, req)
	})
	plain := startGRPC(t, func(s *grpc.Server) { healthpb.RegisterHealthServer(s, states) }, seen)
	cert, roots := selfSigned(t, "shop.apps.test")
	secure := startGRPC(t, func(s *grpc.Server) { healthpb.RegisterHealthServer(s, states) }, seen, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	other, otherRoots := selfSigned(t, "other.apps.test")
	foreign := startGRPC(t, func(s *grpc.Server) { healthpb.RegisterHealthServer(s, states) }, grpc.Creds(credentials.NewServerTLSFromCert(&other)))
	without := startGRPC(t, nil)
	closed := startGRPCAndStop(t)
	for _, tt := range []struct {
		name  string
		at    netip.AddrPort
		check migration.GRPCCheck
		roots *x509.CertPool
		want  cutover.Outcome
		text  string
	}{
		{"the server", plain, migration.GRPCCheck{Plaintext: true}, nil, cutover.Passed, "the server is SERVING"},
		{"a service", plain, migration.GRPCCheck{Plaintext: true, Service: "shop.Cart"}, nil, cutover.Passed, `service "shop.Cart" is SERVING`},
		{"a service that does not serve", plain, migration.GRPCCheck{Plaintext: true, Service: "shop.Pay"}, nil, cutover.Failed, "NOT_SERVING"},
		{"a service that does not know", plain, migration.GRPCCheck{Plaintext: true, Service: "shop.New"}, nil, cutover.Inconclusive, "UNKNOWN"},
		{"a service that is not there", plain, migration.GRPCCheck{Plaintext: true, Service: "shop.Carts"}, nil, cutover.Failed, "does not know the service"},
		{"no health service", without, migration.GRPCCheck{Plaintext: true}, nil, cutover.Failed, "does not implement grpc.health.v1.Health"},
		{"TLS", secure, migration.GRPCCheck{Service: "shop.Cart"}, roots, cutover.Passed, "SERVING"},
		{"TLS that is not trusted", secure, migration.GRPCCheck{}, x509.NewCertPool(), cutover.Failed, "certificate"},
		{"TLS of another name", foreign, migration.GRPCCheck{}, otherRoots, cutover.Failed, "shop.apps.test"},
		{"TLS where there is none", plain, migration.GRPCCheck{}, roots, cutover.Failed, ""},
		{"nobody listens", closed, migration.GRPCCheck{Plaintext: true}, nil, cutover.Failed, "refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			gate := grpcGate(t, tt.at, tt.check, tt.roots, limit)
			if gate.Outcome != tt.want || !strings.Contains(gate.Text, tt.text) {
				t.Errorf("outcome = %s, want %s with %q: %s", gate.Outcome, tt.want, tt.text, gate.Text)
			}
		})
	}
	if probe.Load() != "move" {
		t.Errorf("the server saw the probe header %q", probe.Load())
	}
	if want := netip.AddrPortFrom(secure.Addr(), secure.Port()).String(); authority.Load() == want || !strings.HasPrefix(authority.Load().(string), "shop.apps.test:") {
		t.Errorf("the server was asked as %q", authority.Load())
	}
}

func startGRPCAndStop(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return at
}

// A server that takes the connection and never says a word has shown nothing.
func TestC20_GRPCSilenceIsInconclusive(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for name, check := range map[string]migration.GRPCCheck{"plaintext": {Plaintext: true}, "TLS": {}} {
		t.Run(name, func(t *testing.T) {
			gate := grpcGate(t, netip.MustParseAddrPort(l.Addr().String()), check, nil, 300*time.Millisecond)
			if gate.Outcome != cutover.Inconclusive || !gate.Silent {
				t.Errorf("gate = %+v", gate)
			}
		})
	}
}

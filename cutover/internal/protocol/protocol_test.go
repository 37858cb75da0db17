package protocol

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func target(t *testing.T, address string) Target {
	t.Helper()
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return Target{Addr: at, Hostname: "shop.apps.test"}
}

// listen answers connections by a function, or leaves them be.
func listen(t *testing.T, answer func(net.Conn)) Target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if answer != nil {
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				answer(conn)
			}
		}()
	}
	return target(t, l.Addr().String())
}

func closed(t *testing.T) Target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return target(t, l.Addr().String())
}

// What says no is told from what says nothing, by every question.
func TestRefusedIsAnAnswerAndSilenceIsNone(t *testing.T) {
	ask := map[string]func(context.Context, Target) error{
		"TCP": func(ctx context.Context, at Target) error { return at.TCP(ctx) },
		"TLS": func(ctx context.Context, at Target) error {
			_, err := at.CertificateEnd(ctx)
			return err
		},
		"gRPC, in plaintext": func(ctx context.Context, at Target) error { return at.Health(ctx, Health{Plaintext: true}) },
		"gRPC":               func(ctx context.Context, at Target) error { return at.Health(ctx, Health{}) },
		"HTTP": func(ctx context.Context, at Target) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://shop.apps.test/", nil)
			if err != nil {
				return err
			}
			_, err = at.Do(req)
			return err
		},
	}
	hangsUp, silent, nobody := listen(t, func(conn net.Conn) { _ = conn.Close() }), listen(t, nil), closed(t)
	for name, do := range ask {
		if err := do(t.Context(), nobody); !Refused(err) {
			t.Errorf("%s, nobody listens: %v", name, err)
		}
		if name == "TCP" { // it says nothing, and so hears nothing
			continue
		}
		if err := do(t.Context(), hangsUp); !Refused(err) {
			t.Errorf("%s, it hangs up: %v", name, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := do(ctx, silent); err == nil || Refused(err) {
			t.Errorf("%s, it is silent: %v", name, err)
		}
		cancel()
	}
	if err := unclear("half"); Refused(err) {
		t.Error("what is not clear is no refusal")
	}
}

func TestACertificateMustBeTheHostnames(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	at := target(t, server.Listener.Addr().String())
	if _, err := at.CertificateEnd(t.Context()); !Refused(err) {
		t.Errorf("nobody trusts it: %v", err)
	}
	at.Roots = x509.NewCertPool()
	at.Roots.AddCert(server.Certificate())
	if _, err := at.CertificateEnd(t.Context()); !Refused(err) {
		t.Errorf("it is another name's: %v", err)
	}
	at.Hostname = "example.com"
	if end, err := at.CertificateEnd(t.Context()); err != nil || !end.Equal(server.Certificate().NotAfter) {
		t.Errorf("until %s, %v", end, err)
	}
}

// A chain ends with the first of its certificates; of two chains the one counts that lasts longer.
func TestLasting(t *testing.T) {
	cert := func(day int) *x509.Certificate {
		return &x509.Certificate{NotAfter: time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC)}
	}
	end := lasting([][]*x509.Certificate{{cert(20), cert(5)}, {cert(12), cert(30)}, {}})
	if end.Day() != 12 || !lasting(nil).IsZero() {
		t.Errorf("it lasts until %s", end)
	}
}

// The request goes to the address, under its own hostname, and what leads elsewhere is the answer.
func TestDo(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Host", r.Host)
		switch r.URL.Path {
		case "/leads":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/long":
			_, _ = io.WriteString(w, strings.Repeat("a", MaxBody+1))
		default:
			_, _ = io.WriteString(w, "abc")
		}
	}))
	t.Cleanup(server.Close)
	get := func(path string) Answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://shop.apps.test"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := target(t, server.Listener.Addr().String()).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := get("/"); got.Status != 200 || got.Kind != "text/plain" || got.Header.Get("X-Host") != "shop.apps.test" || got.Body != "abc" || !got.Whole ||
		got.Sum() != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("%+v", got)
	}
	if got := get("/leads"); got.Status != http.StatusFound {
		t.Errorf("it followed: %+v", got)
	}
	if got := get("/long"); got.Whole || len(got.Body) != MaxBody {
		t.Errorf("%d bytes, whole: %t", len(got.Body), got.Whole)
	}
}

func TestHealthThatIsSilentRunsOutOfTime(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := listen(t, nil).Health(ctx, Health{Plaintext: true}); !errors.Is(err, ErrTimeUp) {
		t.Errorf("it says %v", err)
	}
}

package forwarder

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// tryTimeout bounds one try.
const tryTimeout = 10 * time.Second

// Tried is what a try through a way gave.
type Tried struct {
	// Status of the answer; 0 where there was none, and Error says why.
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.Counts()) })
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_ = s.Counts().metrics(w) // whoever asked has gone
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		if err := s.ready(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /try", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		status, err := s.try(r.Context(), q.Get("way"), q.Get("scheme"), q.Get("host"), q.Get("path"))
		result := Tried{Status: status}
		if err != nil {
			result.Error = err.Error()
		}
		answer(w, http.StatusOK, result)
	})
	return mux
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever asked has gone
}

// ready says why it is not. Once every way has reached a target it stays so: a green that is silent for a while is told by each
// connection that fails, and by the counts, which nobody could read of a Service without pods.
func (s *Server) ready(ctx context.Context) error {
	if s.draining.Load() {
		return errors.New("it ends")
	}
	for _, w := range s.ways {
		if len(w.To) == 0 || w.targets.reached.Load() {
			continue
		}
		conn, err := w.targets.dial(ctx)
		if err != nil {
			return fmt.Errorf("way %s: %w", w.Name, err)
		}
		_ = conn.Close() // nothing was sent that could be lost
	}
	return nil
}

// try sends one request through a way, as a client would that comes under a hostname. The certificate is looked at for its name
// only: the gates have judged its chain, with the roots of the operator's machine.
func (s *Server) try(ctx context.Context, name, scheme, host, path string) (int, error) {
	var at string
	for i, w := range s.ways {
		if w.Name == name && w.tcp != nil {
			at = fmt.Sprintf("localhost:%d", s.Addr(i).Port())
		}
	}
	if at == "" {
		return 0, fmt.Errorf("there is no way %q", name)
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, at)
		},
		TLSClientConfig: &tls.Config{ServerName: host, InsecureSkipVerify: true, VerifyPeerCertificate: named(host)},
	}
	defer transport.CloseIdleConnections()
	target, err := url.Parse(path)
	if err != nil {
		return 0, err
	}
	target.Scheme, target.Host = scheme, host
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return 0, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func named(host string) func([][]byte, [][]*x509.Certificate) error {
	return func(raw [][]byte, _ [][]*x509.Certificate) error {
		if len(raw) == 0 {
			return errors.New("no certificate was shown")
		}
		cert, err := x509.ParseCertificate(raw[0])
		if err != nil {
			return err
		}
		return cert.VerifyHostname(host)
	}
}

package protocol

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"
)

// CertificateEnd shakes hands with the hostname as SNI, judges the chain as a client would, and returns until when it is valid.
func (t Target) CertificateEnd(ctx context.Context) (time.Time, error) {
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: t.Hostname, RootCAs: t.Roots, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", t.Addr.String())
	if err != nil {
		return time.Time{}, err
	}
	// Nothing was sent that a failed close could lose.
	defer func() { _ = conn.Close() }()
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return time.Time{}, unclear("the connection is not TLS")
	}
	end := lasting(secure.ConnectionState().VerifiedChains)
	if end.IsZero() {
		return end, unclear("no verified chain")
	}
	return end, nil
}

// lasting is when the chain ends that lasts longest. A chain ends with the first of its certificates.
func lasting(chains [][]*x509.Certificate) time.Time {
	var best time.Time
	for _, chain := range chains {
		if len(chain) == 0 {
			continue
		}
		end := chain[0].NotAfter
		for _, cert := range chain[1:] {
			if cert.NotAfter.Before(end) {
				end = cert.NotAfter
			}
		}
		if end.After(best) {
			best = end
		}
	}
	return best
}

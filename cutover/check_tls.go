package cutover

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math"
	"strings"
	"time"
)

const (
	defaultCertificateDays = 14
	day                    = 24 * time.Hour
)

// tls shakes hands with the real hostname as SNI and judges the chain as a client would, and how long it lasts.
func (p probe) tls(ctx context.Context) finding {
	hostname := strings.TrimSuffix(p.entry.Hostname, ".")
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: hostname, RootCAs: p.opts.Roots, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", p.address())
	if err != nil {
		return httpNoAnswer(err)
	}
	// Nothing was sent that a failed close could lose.
	defer func() { _ = conn.Close() }()
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return unknown("the connection is not TLS")
	}
	return judgeChains(secure.ConnectionState().VerifiedChains, p.opts.now(), p.check.TLS.Days)
}

// judgeChains demands that the chain that lasts longest is still valid for the days.
func judgeChains(chains [][]*x509.Certificate, now time.Time, days int) finding {
	if days <= 0 {
		days = defaultCertificateDays
	}
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
	if best.IsZero() {
		return unknown("no verified chain")
	}
	left := best.Sub(now)
	text := fmt.Sprintf("the chain is valid until %s, %d days from now; %d are demanded", best.UTC().Format(time.DateOnly), int(math.Floor(left.Hours()/day.Hours())), days)
	if left < time.Duration(days)*day {
		return failed("%s", text)
	}
	return passed("%s", text)
}

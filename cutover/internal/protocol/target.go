package protocol

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
)

// Target is the address that is asked, and as what.
type Target struct {
	Addr netip.AddrPort
	// Hostname without its last dot: SNI, and the authority of gRPC.
	Hostname string
	// Roots are trusted. Nil means those of the system.
	Roots *x509.CertPool
}

// ErrTimeUp says that nothing had come back when the context ended.
var ErrTimeUp = errors.New("no answer in time")

// UnclearError says that something came back of which nothing is learned.
type UnclearError struct{ text string }

// Error implements error.
func (e *UnclearError) Error() string { return e.text }

// refusedError says what was answered in the place of what was asked for.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

func unclear(format string, args ...any) error { return &UnclearError{fmt.Sprintf(format, args...)} }

func refused(format string, args ...any) error { return &refusedError{fmt.Sprintf(format, args...)} }

// Refused tells a side that says no from one that says nothing: a refused or reset connection is an answer, and so is a certificate that
// clients would refuse, or a handshake that is broken off. A time-out or a missing route is not.
func Refused(err error) bool {
	var said *refusedError
	var bad *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &said) || errors.As(err, &bad) || errors.As(err, &record) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}

// TCP connects, and says nothing.
func (t Target) TCP(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.Addr.String())
	if err != nil {
		return err
	}
	if err := conn.Close(); err != nil {
		return unclear("connected, but the connection did not close: %v", err)
	}
	return nil
}

package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/version"

	"github.com/crossfade-project/crossfade/internal/mend"
)

// Greeting is what an API server says to whoever asks for its version.
type Greeting struct {
	Version string
	// Took is the time of the one question.
	Took time.Duration
	// Date is the server's clock, to the second; zero where it does not say. Asked and Answered are when this machine asked
	// and had its answer.
	Date, Asked, Answered time.Time
}

// Skew is by how much the server's clock is ahead of this machine's, as far as a clock that shows seconds tells: within a
// second and the time of the question it is 0.
func (g Greeting) Skew() time.Duration {
	switch {
	case g.Date.IsZero():
		return 0
	case g.Date.After(g.Answered):
		return g.Date.Sub(g.Answered).Round(time.Second)
	case g.Date.Add(time.Second).Before(g.Asked):
		return -g.Asked.Sub(g.Date.Add(time.Second)).Round(time.Second)
	}
	return 0
}

// maxGreeting bounds what a stranger may make us read.
const maxGreeting = 64 << 10

// Greet asks the server for its version, with the client's credentials. Its error says what kind of silence it was, with a
// hint: packets that are dropped, a refused connection, a name that is not known, TLS, credentials.
func (c *Client) Greet(ctx context.Context) (Greeting, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath("version").String(), nil)
	if err != nil {
		return Greeting{}, fmt.Errorf("ask %s for its version: %w", c.Config.Host, err)
	}
	g := Greeting{Asked: time.Now()}
	resp, err := c.http.Do(req)
	if err != nil {
		return Greeting{}, c.Explain(err)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxGreeting))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return Greeting{}, c.Explain(err)
	}
	g.Answered = time.Now()
	g.Took = g.Answered.Sub(g.Asked)
	var info version.Info
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return g, c.Explain(apierrors.NewUnauthorized("the credentials are not accepted"))
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusForbidden:
		return g, c.mend(fmt.Errorf("it answers %s to the question for its version", resp.Status), "check that the kubeconfig's server is an API server, and what stands between here and there")
	case resp.StatusCode == http.StatusOK && (json.Unmarshal(raw, &info) != nil || info.GitVersion == ""):
		return g, c.mend(errors.New("what answers there is no API server"), "check the kubeconfig's server, and whether a proxy answers in its stead")
	}
	g.Version = info.GitVersion
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		g.Date = date
	}
	return g, nil
}

// Explain gives a failure to reach the server its kind and its mend.
func (c *Client) Explain(err error) error {
	var known *mend.Error
	if errors.As(err, &known) {
		return err
	}
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		netErr    net.Error
	)
	hint := "check that it can be reached from here, and that the credentials are valid"
	what := ""
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		what, hint = "the name "+dns.Name+" does not exist", "correct the server in the kubeconfig; a name that only a private network knows needs its VPN or its resolver"
	case errors.As(err, &dns):
		what, hint = "the name "+dns.Name+" could not be looked up", "check this machine's resolvers"
	case apierrors.IsUnauthorized(err):
		what, hint = "it does not accept the credentials (401)", "renew them: a token or a client certificate that has expired, or of another cluster, is refused so"
	case apierrors.IsForbidden(err):
		what, hint = "it answers, and forbids the request (403)", "give the account its rights: crossfade doctor --rbac prints them"
	case errors.As(err, &authority):
		what, hint = "its certificate is signed by an authority that the kubeconfig does not name", "correct certificate-authority in the kubeconfig; a proxy that opens TLS looks the same"
	case errors.As(err, &hostname):
		what, hint = "its certificate is for another name", "use a server name that the certificate has, or set tls-server-name in the kubeconfig"
	case errors.As(err, &invalid):
		what, hint = "its certificate is not valid", "renew the server's certificate, or set this machine's clock"
	case errors.As(err, &record), errors.As(err, &alert), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		what, hint = "TLS was not agreed on", "check scheme and port of the server in the kubeconfig, and its client certificate"
	case errors.Is(err, syscall.ECONNREFUSED):
		what, hint = "the connection is refused: nothing listens there", "check the port of the server in the kubeconfig, and whether the API server runs"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		what, hint = "there is no way to it from here", "check the VPN and the routes of this machine"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		what, hint = "the connection was closed without an answer", "look at what stands between here and there: a balancer without a server behind it, or a proxy"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		what, hint = "nothing answered in time", "a firewall that drops packets looks like this, and so does a wrong address or a VPN that is not up: open TCP to it from this machine"
	}
	if what == "" {
		return c.mend(err, hint)
	}
	return c.mend(fmt.Errorf("%s: %w", what, err), hint)
}

func (c *Client) mend(err error, hint string) error {
	return &mend.Error{Op: "reach " + c.Config.Host, Hint: hint, Err: err}
}

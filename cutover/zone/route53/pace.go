package route53

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/route53"

	"github.com/crossfade-project/crossfade/internal/clock"
)

// An account may make five requests a second ("Quotas", Amazon Route 53 Developer Guide). One that is turned away as too many
// keeps all others waiting for a while.
const (
	between = time.Second / 5
	pause   = time.Second
)

// Limits keeps the requests of all drivers that share it within what an account may make. The zero value is ready.
type Limits struct {
	mu       sync.Mutex
	accounts map[string]*pace
}

// of returns an account's pace. Zones whose role does not name their account share one: it may be the same account.
func (l *Limits) of(account string) *pace {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.accounts == nil {
		l.accounts = map[string]*pace{}
	}
	if l.accounts[account] == nil {
		l.accounts[account] = new(pace)
	}
	return l.accounts[account]
}

// pace gives each request a moment of its own.
type pace struct {
	mu   sync.Mutex
	next time.Time
}

func (p *pace) wait(ctx context.Context, c clock.Clock) error {
	p.mu.Lock()
	now := c.Now()
	at := now
	if p.next.After(at) {
		at = p.next
	}
	p.next = at.Add(between)
	p.mu.Unlock()
	return c.Sleep(ctx, at.Sub(now))
}

// hold lets nobody go on before the pause is over.
func (p *pace) hold(c clock.Clock) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until := c.Now().Add(pause); until.After(p.next) {
		p.next = until
	}
}

// paced is an HTTP client that keeps an account's pace.
type paced struct {
	next  route53.HTTPClient
	pace  *pace
	clock clock.Clock
}

// Do implements route53.HTTPClient.
func (p *paced) Do(r *http.Request) (*http.Response, error) {
	if err := p.pace.wait(r.Context(), p.clock); err != nil {
		return nil, err
	}
	resp, err := p.next.Do(r)
	if err != nil || resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return resp, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if bytes.Contains(body, []byte("<Code>Throttling")) || bytes.Contains(body, []byte("<Code>PriorRequestNotComplete")) {
		p.pace.hold(p.clock)
	}
	return resp, nil
}

package clouddns

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
)

// patient is a transport that sends a request again which the service turned away as one too many, and one that only reads also
// where it failed. A change that failed otherwise is not sent again: it is read back first (C4).
type patient struct {
	next  http.RoundTripper
	clock clock.Clock
}

// sendings is how often a request is sent in all; the pauses between them double, from the first one on.
const (
	sendings   = 7
	firstPause = 500 * time.Millisecond
)

// RoundTrip implements http.RoundTripper.
func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		if err = errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
	}
	for sent, pause := 1, firstPause; ; sent, pause = sent+1, pause*2 {
		again := r.Clone(r.Context())
		if r.Body != nil {
			again.Body = io.NopCloser(bytes.NewReader(body))
		}
		resp, err := p.next.RoundTrip(again)
		if sent == sendings || r.Context().Err() != nil || !worthAnother(r, resp, err) {
			return resp, err
		}
		if resp != nil {
			if err := resp.Body.Close(); err != nil {
				return nil, err
			}
		}
		if err := p.clock.Sleep(r.Context(), pause); err != nil {
			return nil, err
		}
	}
}

func worthAnother(r *http.Request, resp *http.Response, err error) bool {
	if err != nil || resp.StatusCode >= http.StatusInternalServerError {
		return r.Method == http.MethodGet
	}
	return resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusForbidden && peek(resp, "ateLimitExceeded")
}

// peek looks for a word in a refusal's body, and leaves the body to be read.
func peek(resp *http.Response, word string) bool {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	resp.Body = rest{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
	return err == nil && bytes.Contains(body, []byte(word))
}

// rest is a body of which a part was read already.
type rest struct {
	io.Reader
	io.Closer
}

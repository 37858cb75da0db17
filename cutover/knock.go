package cutover

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Knock is a request of our own at blue's entry, sent under a hostname while a brown-out begins or has ended. What counts requests may
// count it, and it is no use of blue: it is recorded before it is sent, and taken out of what the look that covers its time has counted.
// Whoever comes at the same time is one more, and a use.
type Knock struct {
	At       time.Time `json:"at"`
	App      string    `json:"app"`
	Hostname string    `json:"hostname"`
	// Refused says that our pods counted it, so that it reached nothing behind them.
	Refused bool `json:"refused,omitempty"`
}

// A KnockCounter is evidence that counts one by one, so that a knock of ours may be among what it counts.
type KnockCounter interface {
	// CountsKnock reports whether it counts a knock, and how much later than that it may show.
	CountsKnock(k Knock) (late time.Duration, counts bool)
}

// leaveOut takes our own knocks out of a look: as many of its uses are ours as there were knocks in its time.
func (t *tracker) leaveOut(e Evidence, now time.Time, obs *Observation) {
	counter, ok := e.(KnockCounter)
	if !ok || obs.Use != Used {
		return
	}
	var ours int64
	for _, k := range t.knocks {
		late, counts := counter.CountsKnock(k)
		if counts && !k.At.After(now) && k.At.After(t.known[e.Name()].At.Add(-late)) {
			ours++
		}
	}
	switch {
	case ours == 0 || obs.Uses == 0: // or it cannot tell how many they are
	case obs.Uses <= ours:
		obs.Use, obs.Text = Quiet, obs.Text+"; all of that were our own knocks"
	default:
		obs.Text += fmt.Sprintf("; %d of that were our own knocks", ours)
	}
}

// learn takes in a knock, or what became of it.
func (t *tracker) learn(k Knock) {
	for i, known := range t.knocks {
		if known.At.Equal(k.At) && known.Hostname == k.Hostname {
			t.knocks[i] = k
			return
		}
	}
	t.knocks = append(t.knocks, k)
}

// answerAt sends one request under a hostname to an address, and returns what was answered, or "" where nothing was, or that there is
// nobody behind. Who answers does not matter here, so no certificate is judged.
func (o Options) answerAt(ctx context.Context, hostname string, at netip.AddrPort, plain bool) string {
	ctx, cancel := context.WithTimeout(ctx, knockTime)
	defer cancel()
	host := strings.TrimSuffix(hostname, ".")
	if below, wild := strings.CutPrefix(host, "*"); wild {
		host = "crossfade-probe" + below // one of the names that it stands for
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, at.String())
		},
		TLSClientConfig: &tls.Config{ServerName: host, InsecureSkipVerify: true},
	}
	defer transport.CloseIdleConnections()
	scheme := "https"
	if plain {
		scheme = "http"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+host+"/", nil)
	if err != nil {
		return ""
	}
	probeHeader(req.Header, o.Migration)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return ""
	}
	_ = resp.Body.Close() // nothing of it is read
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "" // a proxy that has nobody behind it
	}
	return resp.Status
}

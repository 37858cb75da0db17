package cutover_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// skewed is a zone whose server has another clock: a fake, beside the real servers that rfc2136's own tests ask.
type skewed struct {
	zone.Zone
	by time.Duration
}

func (s skewed) Skew(context.Context) (time.Duration, time.Duration, error) {
	return s.by, 5 * time.Minute, nil
}

func TestExamineZoneTellsHowSkewedTheClockIs(t *testing.T) {
	for by, want := range map[time.Duration]string{
		time.Hour:         "BADTIME: the server's clock is 3600 s ahead of ours",
		-10 * time.Minute: "BADTIME: the server's clock is 600 s behind ours",
		4 * time.Minute:   "",
		0:                 "",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // no server is to be asked here
		report := cutover.ExamineZone(ctx, cutover.Options{}, cutover.Zone{Driver: skewed{apexOnly{}, by}})
		found := ""
		for _, r := range report.Refusals {
			if r.What == "clock" {
				found = r.Why
			}
		}
		if want == "" && found != "" || want != "" && !strings.Contains(found, want) || report.Skew != by {
			t.Errorf("%s: %q, want %q", by, found, want)
		}
	}
}

// apexOnly knows its name and nothing else.
type apexOnly struct{ zone.Zone }

func (apexOnly) Apex() string { return "apps.test." }

// lagging plays two servers, of which the second catches up after so many questions: a fake, since a real secondary lags for
// as long as it likes.
type lagging struct {
	cutover.Names
	after int
	asked int
}

const behind = "127.0.0.3:53"

func (l *lagging) Discover(context.Context, string, dnsx.Source) (dnsx.Delegation, error) {
	return dnsx.Delegation{Cut: dnsx.Cut{Servers: []dnsx.Server{{Name: "ns1.test.", Addrs: []netip.AddrPort{
		netip.MustParseAddrPort("127.0.0.2:53"), netip.MustParseAddrPort(behind),
	}}}}}, nil
}

func (l *lagging) Ask(_ context.Context, addr netip.AddrPort, name, typ string, _ bool) (dnsx.Answer, error) {
	serial := 21
	if addr.String() == behind {
		if l.asked++; l.asked <= l.after {
			serial = 19
		}
	}
	return dnsx.Answer{Authoritative: true, Answer: []dnsx.Record{{Name: name, Type: typ, Data: fmt.Sprintf("ns1.test. admin.test. %d 1 2 3 4", serial)}}}, nil
}

func TestExamineZoneWaitsForATransferUnderWay(t *testing.T) {
	for after, refused := range map[int]bool{0: false, 5: false, 1000: true} {
		names := &lagging{after: after}
		report := cutover.ExamineZone(t.Context(), cutover.Options{Names: names, Clock: clock.NewFake(time.Unix(1e9, 0))}, cutover.Zone{
			Zone: migration.Zone{Resolvers: []string{"127.0.0.1:1"}}, Driver: skewed{apexOnly{}, 0}, // nobody is there, and none is needed
		})
		found := false
		for _, r := range report.Refusals {
			found = found || strings.Contains(r.Why, "it has serial 19 and another has 21")
		}
		if found != refused || len(report.Serials) != 2 {
			t.Errorf("behind for %d questions: refused is %v, want %v: %+v", after, found, refused, report)
		}
	}
}

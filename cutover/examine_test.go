package cutover_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
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

package window_test

import (
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/internal/window"
)

func parse(t *testing.T, zone string, closed []string, specs ...window.Spec) *window.Schedule {
	t.Helper()
	s, err := window.Parse(zone, specs, closed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func utc(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestNextFindsTheFirstWindowWithEnoughTimeLeft(t *testing.T) {
	office := window.Spec{Weekdays: []string{"mon", "tue", "wed", "thu", "fri"}, From: "09:00", To: "16:00"}
	night := window.Spec{Weekdays: []string{"sat"}, From: "22:00", To: "04:00"}
	for name, tt := range map[string]struct {
		zone   string
		closed []string
		specs  []window.Spec
		at     string
		need   time.Duration
		want   string // begin, in UTC
		to     string
	}{
		"inside":                           {"Europe/Berlin", nil, []window.Spec{office}, "2026-11-24T09:30:00Z", time.Hour, "2026-11-24T09:30:00Z", "2026-11-24T15:00:00Z"},
		"before it opens":                  {"Europe/Berlin", nil, []window.Spec{office}, "2026-11-24T07:59:00Z", time.Hour, "2026-11-24T08:00:00Z", "2026-11-24T15:00:00Z"},
		"the last moment":                  {"Europe/Berlin", nil, []window.Spec{office}, "2026-11-24T14:00:00Z", time.Hour, "2026-11-24T14:00:00Z", "2026-11-24T15:00:00Z"},
		"too little time is left":          {"Europe/Berlin", nil, []window.Spec{office}, "2026-11-24T14:00:01Z", time.Hour, "2026-11-25T08:00:00Z", "2026-11-25T15:00:00Z"},
		"over the weekend":                 {"Europe/Berlin", nil, []window.Spec{office}, "2026-11-27T15:00:00Z", time.Hour, "2026-11-30T08:00:00Z", "2026-11-30T15:00:00Z"},
		"closed dates":                     {"Europe/Berlin", []string{"2026-12-24/2027-01-03"}, []window.Spec{office}, "2026-12-23T15:00:00Z", time.Hour, "2027-01-04T08:00:00Z", "2027-01-04T15:00:00Z"},
		"through midnight":                 {"UTC", nil, []window.Spec{night}, "2026-11-29T02:00:00Z", time.Hour, "2026-11-29T02:00:00Z", "2026-11-29T04:00:00Z"},
		"into a closed date":               {"UTC", []string{"2026-11-29"}, []window.Spec{night}, "2026-11-28T22:30:00Z", 2 * time.Hour, "2026-12-05T22:00:00Z", "2026-12-06T04:00:00Z"},
		"out of a closed date":             {"UTC", []string{"2026-11-28"}, []window.Spec{night}, "2026-11-29T01:00:00Z", time.Hour, "2026-12-05T22:00:00Z", "2026-12-06T04:00:00Z"},
		"windows that touch are one":       {"UTC", nil, []window.Spec{{Weekdays: []string{"sat"}, From: "20:00", To: "24:00"}, {Weekdays: []string{"sun"}, From: "00:00", To: "06:00"}}, "2026-11-28T21:00:00Z", 8 * time.Hour, "2026-11-28T21:00:00Z", "2026-11-29T06:00:00Z"},
		"in winter":                        {"America/New_York", nil, []window.Spec{office}, "2026-11-24T00:00:00Z", time.Hour, "2026-11-24T14:00:00Z", "2026-11-24T21:00:00Z"},
		"in summer":                        {"America/New_York", nil, []window.Spec{office}, "2026-07-21T00:00:00Z", time.Hour, "2026-07-21T13:00:00Z", "2026-07-21T20:00:00Z"},
		"half an hour of daylight saving":  {"Australia/Lord_Howe", nil, []window.Spec{office}, "2026-11-24T16:00:00Z", time.Hour, "2026-11-24T22:00:00Z", "2026-11-25T05:00:00Z"},
		"a day that lacks its midnight":    {"America/Santiago", nil, []window.Spec{{Weekdays: []string{"sun"}, From: "00:00", To: "03:00"}}, "2026-09-06T00:00:00Z", time.Hour, "2026-09-06T04:00:00Z", "2026-09-06T06:00:00Z"},
		"spring: the hour that is missing": {"Europe/Berlin", nil, []window.Spec{{From: "02:30", To: "05:00"}}, "2026-03-29T00:00:00Z", time.Hour, "2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z"},
		"spring: it ends in the hour":      {"Europe/Berlin", nil, []window.Spec{{From: "00:00", To: "02:30"}}, "2026-03-28T23:00:00Z", 2 * time.Hour, "2026-03-28T23:00:00Z", "2026-03-29T01:00:00Z"},
		"spring: nothing but the hour":     {"Europe/Berlin", nil, []window.Spec{{From: "02:15", To: "02:45"}}, "2026-03-29T00:00:00Z", time.Minute, "2026-03-30T00:15:00Z", "2026-03-30T00:45:00Z"},
		"autumn: it ends in the hour":      {"Europe/Berlin", nil, []window.Spec{{From: "01:00", To: "02:30"}}, "2026-10-24T22:00:00Z", time.Hour, "2026-10-24T23:00:00Z", "2026-10-25T00:30:00Z"},
		"autumn: it begins in the hour":    {"Europe/Berlin", nil, []window.Spec{{From: "02:30", To: "04:00"}}, "2026-10-24T22:00:00Z", 2 * time.Hour, "2026-10-25T00:30:00Z", "2026-10-25T03:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			begin, span, ok := parse(t, tt.zone, tt.closed, tt.specs...).Next(utc(t, tt.at), tt.need)
			if !ok || !begin.Equal(utc(t, tt.want)) || !span.To.Equal(utc(t, tt.to)) {
				t.Errorf("it may begin %s, until %s (%t); want %s, until %s", begin.UTC().Format(time.RFC3339), span.To.UTC().Format(time.RFC3339), ok, tt.want, tt.to)
			}
		})
	}
}

func TestAWindowThatIsTooShortNeverOpens(t *testing.T) {
	s := parse(t, "Europe/Berlin", nil, window.Spec{From: "09:00", To: "10:00"})
	at := utc(t, "2026-11-24T00:00:00Z")
	if begin, _, ok := s.Next(at, time.Hour+time.Second); ok {
		t.Errorf("it may begin %s", begin)
	}
	if got := s.Longest(at); got != time.Hour {
		t.Errorf("the longest window is %s, want 1h", got)
	}
}

// Whatever the day, a window of an hour that may begin has its hour, the wall clock in it shows its times, and none lies before at.
func TestEveryWindowOfAYearHoldsItsTimes(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu", "Pacific/Apia"} {
		s := parse(t, zone, nil, window.Spec{From: "09:30", To: "10:30"})
		at := utc(t, "2026-01-01T00:00:00Z")
		for range 365 {
			begin, span, ok := s.Next(at, time.Hour)
			if !ok || begin.Before(at) || span.To.Sub(span.From) != time.Hour || begin.In(s.Location()).Format("15:04") != "09:30" {
				t.Fatalf("%s: after %s it may begin %s, in %s to %s", zone, at, begin, span.From, span.To)
			}
			at = span.To
		}
		if end := utc(t, "2027-01-01T00:00:00Z"); at.Sub(end).Abs() > 24*time.Hour {
			t.Errorf("%s: 365 windows end at %s", zone, at)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := window.Spec{From: "09:00", To: "10:00"}
	for _, tt := range []struct {
		zone   string
		specs  []window.Spec
		closed []string
		want   string
	}{
		{"Europe/Berlim", []window.Spec{good}, nil, "no time zone"},
		{"Local", []window.Spec{good}, nil, "no time zone"},
		{"UTC", nil, nil, "no window is ever open"},
		{"UTC", []window.Spec{{From: "9:00", To: "10:00"}}, nil, "no time of day"},
		{"UTC", []window.Spec{{From: "09:00", To: "25:00"}}, nil, "no time of day"},
		{"UTC", []window.Spec{{From: "09:00", To: "09:00"}}, nil, "the whole day"},
		{"UTC", []window.Spec{{From: "24:00", To: "09:00"}}, nil, "the whole day"},
		{"UTC", []window.Spec{{Weekdays: []string{"monday"}, From: "09:00", To: "10:00"}}, nil, "no day of the week"},
		{"UTC", []window.Spec{good}, []string{"24.12.2026"}, "neither a date nor two"},
		{"UTC", []window.Spec{good}, []string{"2026-12-24/2026-12-23"}, "neither a date nor two"},
	} {
		if _, err := window.Parse(tt.zone, tt.specs, tt.closed); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt, err, tt.want)
		}
	}
}

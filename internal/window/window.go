package window

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // machines without a database of time zones know them too
)

// Spec is one weekly window as a person writes it.
type Spec struct {
	// Weekdays on which it begins: mon, tue, wed, thu, fri, sat, sun. Empty means every day.
	Weekdays []string
	// From and To are times of day, 15:04. To may be 24:00; where it is not after From, it is the next day's.
	From, To string
}

// Schedule is when something may begin. Parse makes one.
type Schedule struct {
	where  *time.Location
	open   []weekly
	closed []dates
	text   string
}

type weekly struct {
	days     [7]bool // by time.Weekday
	from, to int     // minutes since midnight; to may be up to 48 h
}

// dates are days from the first to the last, both closed.
type dates struct{ first, last time.Time } // midnight in UTC, which stands for the date alone

// Span is from when to when a window is open.
type Span struct{ From, To time.Time }

const (
	dateForm = "2006-01-02"
	day      = 24 * 60
	// horizon is how far ahead is looked.
	horizon = 400
)

// Parse reads a schedule. A closed entry is a date, 2026-12-24, or two with a slash between.
func Parse(timezone string, open []Spec, closed []string) (*Schedule, error) {
	where, err := time.LoadLocation(timezone)
	if err != nil || strings.EqualFold(timezone, "local") {
		return nil, fmt.Errorf("%q is no time zone of the IANA database, as Europe/Berlin", timezone)
	}
	s := &Schedule{where: where}
	if len(open) == 0 {
		return nil, errors.New("no window is ever open")
	}
	var texts []string
	for _, o := range open {
		w, err := parseWeekly(o)
		if err != nil {
			return nil, err
		}
		s.open = append(s.open, w)
		days := strings.Join(o.Weekdays, ",")
		if days == "" {
			days = "daily"
		}
		texts = append(texts, fmt.Sprintf("%s %s–%s", days, o.From, o.To))
	}
	for _, c := range closed {
		d, err := parseDates(c)
		if err != nil {
			return nil, err
		}
		s.closed = append(s.closed, d)
	}
	s.text = strings.Join(texts, "; ") + " " + where.String()
	if len(closed) > 0 {
		s.text += ", closed on " + strings.Join(closed, ", ")
	}
	return s, nil
}

// String is the schedule on one line.
func (s *Schedule) String() string { return s.text }

// Location is the time zone in which the windows are meant.
func (s *Schedule) Location() *time.Location { return s.where }

func parseWeekly(o Spec) (weekly, error) {
	w := weekly{}
	var err error
	if w.from, err = parseTime(o.From); err != nil {
		return w, err
	}
	if w.to, err = parseTime(o.To); err != nil {
		return w, err
	}
	if w.from == day || w.from == w.to {
		return w, fmt.Errorf("a window from %s to %s: the whole day is from 00:00 to 24:00", o.From, o.To)
	}
	if w.to < w.from {
		w.to += day
	}
	for _, name := range o.Weekdays {
		i := slices.Index([]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}, strings.ToLower(name))
		if i < 0 {
			return w, fmt.Errorf("%q is no day of the week: write mon, tue, wed, thu, fri, sat or sun", name)
		}
		w.days[i] = true
	}
	if len(o.Weekdays) == 0 {
		w.days = [7]bool{true, true, true, true, true, true, true}
	}
	return w, nil
}

func parseTime(text string) (int, error) {
	if text == "24:00" {
		return day, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, fmt.Errorf("%q is no time of day: write it as 09:00", text)
	}
	return t.Hour()*60 + t.Minute(), nil
}

func parseDates(text string) (dates, error) {
	first, last, two := strings.Cut(text, "/")
	if !two {
		last = first
	}
	from, err := time.Parse(dateForm, first)
	to, err2 := time.Parse(dateForm, last)
	if err != nil || err2 != nil || to.Before(from) {
		return dates{}, fmt.Errorf("%q is neither a date nor two: write 2026-12-24 or 2026-12-20/2027-01-03", text)
	}
	return dates{from, to}, nil
}

// Next returns the first time from at on at which a window is open and stays open for need, with that window. It is at itself
// where one is. It returns false where there is none in the next 400 days.
func (s *Schedule) Next(at time.Time, need time.Duration) (time.Time, Span, bool) {
	for _, span := range s.spans(at) {
		begin := span.From
		if begin.Before(at) {
			begin = at
		}
		if !begin.Add(need).After(span.To) {
			return begin, span, true
		}
	}
	return time.Time{}, Span{}, false
}

// Longest is the longest window of the next 400 days.
func (s *Schedule) Longest(at time.Time) time.Duration {
	var longest time.Duration
	for _, span := range s.spans(at) {
		longest = max(longest, span.To.Sub(span.From))
	}
	return longest
}

// spans are the open times that end after at, in order, those that touch as one.
func (s *Schedule) spans(at time.Time) []Span {
	y, m, d := at.In(s.where).Date()
	var list []Span
	for i := -2; i <= horizon; i++ { // a window may reach into the next day
		date := time.Date(y, m, d+i, 0, 0, 0, 0, time.UTC)
		if s.closedOn(date) {
			continue
		}
		for _, w := range s.open {
			if w.days[date.Weekday()] {
				list = append(list, s.open1(date, w))
			}
		}
	}
	slices.SortFunc(list, func(a, b Span) int { return a.From.Compare(b.From) })
	var merged []Span
	for _, span := range list {
		if !span.To.After(span.From) {
			continue // all of it lies in an hour that does not exist
		}
		if n := len(merged); n > 0 && !span.From.After(merged[n-1].To) {
			if span.To.After(merged[n-1].To) {
				merged[n-1].To = span.To
			}
			continue
		}
		merged = append(merged, span)
	}
	return slices.DeleteFunc(merged, func(x Span) bool { return !x.To.After(at) })
}

// open1 is a window of one date, cut off where a closed date begins.
func (s *Schedule) open1(date time.Time, w weekly) Span {
	span := Span{From: s.first(date, w.from), To: s.first(date.AddDate(0, 0, w.to/day), w.to%day)}
	if next := date.AddDate(0, 0, 1); w.to > day && s.closedOn(next) {
		span.To = s.first(next, 0)
	}
	return span
}

func (s *Schedule) closedOn(date time.Time) bool {
	return slices.ContainsFunc(s.closed, func(d dates) bool { return !date.Before(d.first) && !date.After(d.last) })
}

// first is the first moment of a date at which the wall clock shows a time of day, or, where it jumps over it, the moment of the jump.
func (s *Schedule) first(date time.Time, minutes int) time.Time {
	wall := date.Add(time.Duration(minutes) * time.Minute) // as if the zone were UTC
	_, before := wall.Add(-day * time.Minute).In(s.where).Zone()
	_, after := wall.Add(day * time.Minute).In(s.where).Zone()
	early, late := wall.Add(-time.Duration(max(before, after))*time.Second), wall.Add(-time.Duration(min(before, after))*time.Second)
	for _, t := range []time.Time{early, late} {
		if _, offset := t.In(s.where).Zone(); t.Add(time.Duration(offset) * time.Second).Equal(wall) {
			return t.In(s.where)
		}
	}
	_, jump := early.In(s.where).ZoneBounds()
	return jump
}

package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/internal/cli"
)

// eventLine is an event as --progress json writes it.
type eventLine struct {
	Time time.Time `json:"time"`
	crossfade.Event
	// Copy is in place of the event's, with what follows from it.
	Copy  *copyLine `json:"copy,omitempty"`
	Error string    `json:"error,omitempty"`
}

// copyLine is how far a copy has come.
type copyLine struct {
	Objects      int64 `json:"objects"`
	Bytes        int64 `json:"bytes"`
	TotalObjects int64 `json:"totalObjects"`
	TotalBytes   int64 `json:"totalBytes"`
	Retries      int64 `json:"retries"`
	Throttles    int64 `json:"throttles"`
	Failures     int64 `json:"failures"`
	// Phase is what a stage does beside what it is named after: proof or sample.
	Phase bucketsync.Phase `json:"phase,omitempty"`
	// Rates are a second, since the phase began; ETA is in seconds (see cli.Forecast). They are missing where nothing is known yet.
	BytesRate   float64  `json:"bytesRate,omitempty"`
	ObjectsRate float64  `json:"objectsRate,omitempty"`
	ETA         *float64 `json:"eta,omitempty"`
	// UnderWay is how many objects may be copied at once just now.
	UnderWay int `json:"underWay,omitempty"`
}

// copyEvery bounds how often a stage's copy is told: an object can take a millisecond.
const copyEvery = time.Second

// eventLines writes events as lines of JSON.
type eventLines struct {
	out io.Writer
	now func() time.Time

	mu     sync.Mutex
	stages map[string]*copyStage
}

type copyStage struct {
	began, said time.Time
	last        *crossfade.Event // held back
	phase       bucketsync.Phase
	ahead       cli.Forecast
}

func newEventLines(out io.Writer) *eventLines {
	return &eventLines{out: out, now: time.Now, stages: map[string]*copyStage{}}
}

func (l *eventLines) handle(ev crossfade.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	s := l.stages[ev.Stage]
	if s == nil {
		s = &copyStage{began: now}
		s.ahead.Note(now, cli.Amounts{})
		l.stages[ev.Stage] = s
	}
	if ev.Kind == crossfade.Copying || ev.Kind == crossfade.Comparing {
		if ev.Copy.Phase != s.phase { // which is told at once, and counts anew
			if s.last != nil {
				l.write(now, s, *s.last)
			}
			s.phase, s.began, s.said = ev.Copy.Phase, now, time.Time{}
		}
		s.ahead.Note(now, amountsOf(ev.Copy))
		if now.Sub(s.said) < copyEvery {
			s.last = &ev
			return
		}
		s.said, s.last = now, nil
	} else if s.last != nil { // the last state is always told
		l.write(now, s, *s.last)
		s.last = nil
	}
	if ev.Kind == crossfade.StageEnded {
		delete(l.stages, ev.Stage)
	}
	l.write(now, s, ev)
}

func (l *eventLines) write(now time.Time, s *copyStage, ev crossfade.Event) {
	line := eventLine{Time: now.UTC(), Event: ev}
	if ev.Err != nil {
		line.Error = ev.Err.Error()
	}
	if ev.Copy != nil {
		line.Copy = s.lineOf(ev.Copy, now.Sub(s.began).Seconds())
	}
	raw, err := json.Marshal(line)
	if err != nil {
		return // an event is no record: nothing depends on it
	}
	_, _ = l.out.Write(append(raw, '\n')) // likewise
}

func amountsOf(c *bucketsync.Progress) cli.Amounts {
	return cli.Amounts{Objects: c.Objects, TotalObjects: c.TotalObjects, Bytes: c.Bytes, TotalBytes: c.TotalBytes, Phase: string(c.Phase)}
}

func (s *copyStage) lineOf(c *bucketsync.Progress, took float64) *copyLine {
	line := &copyLine{
		Objects: c.Objects, Bytes: c.Bytes, TotalObjects: c.TotalObjects, TotalBytes: c.TotalBytes,
		Retries: c.Retries, Throttles: c.Throttles, Failures: c.Failures, UnderWay: c.UnderWay, Phase: c.Phase,
	}
	if took > 0 {
		line.ObjectsRate, line.BytesRate = float64(c.Objects)/took, float64(c.Bytes)/took
	}
	if left, ok := s.ahead.Left(amountsOf(c)); ok {
		line.ETA = new(left.Seconds())
	}
	return line
}

package main

import (
	"fmt"
	"strings"
	"sync"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/internal/cli"
)

// events turns what the library reports into bars or lines.
type events struct {
	progress *cli.Progress

	mu    sync.Mutex
	total map[string]int
	done  map[string]int
	phase map[string]bucketsync.Phase
}

func newEvents(p *cli.Progress) *events {
	return &events{progress: p, total: map[string]int{}, done: map[string]int{}, phase: map[string]bucketsync.Phase{}}
}

// copied is what a copy tells beside its bytes.
func copied(c *bucketsync.Progress) string {
	return fmt.Sprintf("%d of %s", c.Objects, cli.Count(int(max(c.TotalObjects, c.Objects)), "object")) + borne(c)
}

// compared is what a comparison tells beside its objects.
func compared(c *bucketsync.Progress) string {
	text := "objects"
	if c.Bytes > 0 {
		text += ", " + cli.Bytes(c.Bytes) + " read"
	}
	return text + borne(c)
}

// borne is how the stores have borne it.
func borne(c *bucketsync.Progress) (text string) {
	for _, more := range []struct {
		n    int64
		noun string
	}{{c.Retries, "retry"}, {c.Throttles, "throttle"}, {c.Failures, "failure"}} {
		if more.n > 0 {
			text += ", " + strings.Replace(cli.Count(int(more.n), more.noun), "retrys", "retries", 1)
		}
	}
	return text
}

// manyChanges is how many changes a stage must have for a bar of its own.
const manyChanges = 4

func (e *events) handle(ev crossfade.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch ev.Kind {
	case crossfade.StageBegan:
		e.progress.Line("%s: %s", ev.Stage, ev.Text)
	case crossfade.StageSkipped:
		e.progress.Line("%s: done before", ev.Stage)
	case crossfade.Planned:
		e.total[ev.Stage] = ev.Changes
	case crossfade.ChangeEnded:
		e.done[ev.Stage]++
		if total := e.total[ev.Stage]; total >= manyChanges {
			e.progress.Set(ev.Stage, cli.Amounts{Objects: int64(e.done[ev.Stage]), TotalObjects: int64(total)}, false, "")
		}
	case crossfade.Copying, crossfade.Comparing:
		e.advance(ev)
	case crossfade.Warned:
		e.progress.Line("%s: warning: %s", ev.Stage, ev.Text)
	case crossfade.Returning:
		e.progress.Line("%s: %s", ev.Stage, ev.Text)
	case crossfade.StageEnded:
		delete(e.phase, ev.Stage)
		e.progress.End(ev.Stage)
		if ev.Err != nil {
			e.progress.Line("%s: stopped", ev.Stage)
		} else {
			e.progress.Line("%s: done", ev.Stage)
		}
	}
}

// phaseOf says what a stage does beside what it is named after.
func phaseOf(p bucketsync.Phase) string {
	switch p {
	case bucketsync.PhaseProof:
		return "proving both sides equal"
	case bucketsync.PhaseSample:
		return "reading the keys that the sample is drawn from"
	}
	return ""
}

// advance shows how far a copy or a comparison has come, and says where another phase begins.
func (e *events) advance(ev crossfade.Event) {
	c := ev.Copy
	if text := phaseOf(c.Phase); text != "" && e.phase[ev.Stage] != c.Phase {
		e.progress.Line("%s: %s", ev.Stage, text)
	}
	e.phase[ev.Stage] = c.Phase
	at := amountsOf(c)
	switch {
	case c.TotalBytes > 0:
		e.progress.Set(ev.Stage, at, true, copied(c))
	case ev.Kind == crossfade.Comparing:
		e.progress.Set(ev.Stage, at, false, compared(c))
	}
}

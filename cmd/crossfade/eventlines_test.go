package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/bucketsync"
)

func TestEventLinesTellTheRateAndTheLastState(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	l := newEventLines(&out)
	l.now = func() time.Time { return now }
	at := func(objects, total int64) {
		l.handle(crossfade.Event{Kind: crossfade.Copying, Stage: "sync", Copy: &bucketsync.Progress{Objects: objects, Bytes: objects * 10, TotalObjects: total, TotalBytes: total * 10, Retries: 1}})
	}
	l.handle(crossfade.Event{Kind: crossfade.StageBegan, Stage: "sync"})
	now = now.Add(10 * time.Second)
	at(50, 100)
	now = now.Add(time.Millisecond)
	at(60, 100) // too soon
	at(70, 100) // held back
	l.handle(crossfade.Event{Kind: crossfade.StageEnded, Stage: "sync", Err: errors.New("the wire was cut")})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	var first, last, end eventLine
	for i, into := range map[int]*eventLine{1: &first, 2: &last, 3: &end} {
		if err := json.Unmarshal([]byte(lines[i]), into); err != nil {
			t.Fatal(err)
		}
	}
	if c := first.Copy; c.Objects != 50 || c.ObjectsRate != 5 || c.BytesRate != 50 || c.ETA == nil || *c.ETA != 10 || c.Retries != 1 {
		t.Errorf("got %s", lines[1])
	}
	if last.Copy.Objects != 70 {
		t.Errorf("the last state is not told: %s", lines[2])
	}
	if end.Error != "the wire was cut" || end.Kind != crossfade.StageEnded {
		t.Errorf("got %s", lines[3])
	}
}

// A phase of its own is told at once, and its rates and time left are its own.
func TestEventLinesTellAPhaseAtOnce(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	l := newEventLines(&out)
	l.now = func() time.Time { return now }
	at := func(kind crossfade.EventKind, objects int64, phase bucketsync.Phase) {
		l.handle(crossfade.Event{Kind: kind, Stage: "sync", Copy: &bucketsync.Progress{Objects: objects, TotalObjects: 100, Phase: phase}})
	}
	at(crossfade.Copying, 0, "")
	now = now.Add(10 * time.Second)
	at(crossfade.Copying, 90, "")
	at(crossfade.Copying, 100, "")
	at(crossfade.Comparing, 0, bucketsync.PhaseProof)
	now = now.Add(10 * time.Second)
	at(crossfade.Comparing, 50, bucketsync.PhaseProof)
	var lines []eventLine
	for line := range strings.Lines(out.String()) {
		var one eventLine
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, one)
	}
	if len(lines) != 5 || lines[2].Copy.Objects != 100 || lines[3].Copy.Phase != bucketsync.PhaseProof || lines[3].Copy.ETA != nil {
		t.Fatalf("got\n%s", out.String())
	}
	if c := lines[4].Copy; c.ObjectsRate != 5 || c.ETA == nil || *c.ETA != 10 {
		t.Errorf("the proof's own are %+v", c)
	}
}

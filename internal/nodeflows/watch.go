package nodeflows

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
)

// ErrIncomplete says that a report lacks its end: the log was cut, or the pod was stopped early.
var ErrIncomplete = errors.New("the report of the node's flows is incomplete")

// Options of a watch. The zero value reads the table of this machine once.
type Options struct {
	// Node is the name of the node, for the report.
	Node string
	// For is how long to watch. Connections that were reset leave the table after ten seconds, so a watch that is to see
	// every connection looks more often than that.
	For time.Duration
	// Every is the time between two looks. Default 1s.
	Every time.Duration
	// Read lists the flows; default Read, the table of this machine.
	Read  func() ([]Flow, error)
	Clock clock.Clock
}

// Watch reads the table again and again and returns every flow that was there at least once. A look that fails ends the
// watch with its error: a report never has holes.
func Watch(ctx context.Context, opts Options) (Report, error) {
	if opts.Read == nil {
		opts.Read = Read
	}
	if opts.Clock == nil {
		opts.Clock = clock.System{}
	}
	if opts.Every <= 0 {
		opts.Every = time.Second
	}
	seen := map[Key]Flow{}
	report := Report{Format: Format, Node: opts.Node, From: opts.Clock.Now().UTC()}
	for {
		flows, err := opts.Read()
		if err != nil {
			return Report{}, fmt.Errorf("read the node's connection tracking: %w", err)
		}
		for _, f := range flows {
			seen[f.Key()] = f
		}
		report.Looks++
		now := opts.Clock.Now()
		left := opts.For - now.Sub(report.From)
		if left <= 0 {
			report.Until = now.UTC()
			break
		}
		if err := opts.Clock.Sleep(ctx, min(opts.Every, left)); err != nil {
			return Report{}, fmt.Errorf("watch the node's connection tracking: %w", err)
		}
	}
	for _, f := range seen {
		report.Flows = append(report.Flows, f)
	}
	slices.SortFunc(report.Flows, compareFlows)
	report.Count = len(report.Flows)
	return report, nil
}

func compareFlows(a, b Flow) int {
	ka, kb := a.Key(), b.Key()
	return cmp.Or(
		cmp.Compare(ka.Protocol, kb.Protocol),
		ka.Destination.Compare(kb.Destination),
		ka.Source.Compare(kb.Source),
	)
}

// Print watches and writes the report: a line of JSON for each flow, then the summary.
func Print(ctx context.Context, w io.Writer, opts Options) error {
	report, err := Watch(ctx, opts)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	for _, f := range report.Flows {
		if err := enc.Encode(f); err != nil {
			return fmt.Errorf("write the node's flows: %w", err)
		}
	}
	if err := enc.Encode(report); err != nil {
		return fmt.Errorf("write the node's flows: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the node's flows: %w", err)
	}
	return nil
}

// Parse reads what Print wrote. It returns ErrIncomplete, wrapped, where the summary is missing or counts other flows
// than there are.
func Parse(raw []byte) (Report, error) {
	lines := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
	last := lines[len(lines)-1]
	var report Report
	if err := json.Unmarshal(last, &report); err != nil || report.Format == 0 {
		return Report{}, fmt.Errorf("%w: its last line is not a summary", ErrIncomplete)
	}
	if report.Format != Format {
		return Report{}, fmt.Errorf("the node's flows have format %d, and this version reads %d: use the same version of the project's image", report.Format, Format)
	}
	for i, line := range lines[:len(lines)-1] {
		var f Flow
		if err := json.Unmarshal(line, &f); err != nil {
			return Report{}, fmt.Errorf("%w: line %d is not a flow: %w", ErrIncomplete, i+1, err)
		}
		report.Flows = append(report.Flows, f)
	}
	if len(report.Flows) != report.Count {
		return Report{}, fmt.Errorf("%w: %d flows where its summary counts %d", ErrIncomplete, len(report.Flows), report.Count)
	}
	return report, nil
}

package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/internal/journal"
)

// LeftReport is what every run leaves in the state directory, and in the state store: where the migration stood when it ended, and
// the journal's head then, so that a journal that is cut later is found out.
type LeftReport struct {
	Migration string    `json:"migration"`
	Records   int       `json:"records"`
	Head      string    `json:"head"`
	Verb      string    `json:"verb"`
	Actor     string    `json:"actor"`
	Tool      string    `json:"tool"`
	Ended     time.Time `json:"ended"`
	Error     string    `json:"error,omitempty"`
	Report    *Report   `json:"report,omitempty"`
}

// leave writes the report of a verb that has ended with err, and returns err, or why the report could not be written.
func (m *Migration) leave(ctx context.Context, verb string, err error) error {
	if !m.begun {
		return err
	}
	err = m.interrupted(ctx, err)
	lerr := m.leaveReport(ctx, verb, err)
	if err == nil {
		return lerr
	}
	if lerr != nil {
		m.opts.Log.WarnContext(ctx, "no report was left", "because", lerr.Error())
	}
	return err
}

func (m *Migration) leaveReport(ctx context.Context, verb string, cause error) error {
	left := LeftReport{Migration: m.file.Name, Verb: verb, Actor: m.opts.Actor, Tool: m.opts.Tool, Ended: m.opts.Clock.Now().UTC()}
	if cause != nil {
		left.Error = cause.Error()
	}
	m.journal.View(func(log *journal.Log) { left.Records, left.Head = len(log.Records), log.Head })
	if left.Records == 0 {
		return nil // it was refused before anything began
	}
	var err error
	if left.Report, err = m.Report(); err != nil {
		left.Report = nil // the head alone is worth keeping
	}
	raw, err := json.MarshalIndent(left, "", "  ")
	if err != nil {
		return fmt.Errorf("leave a report: %w", err)
	}
	dir := filepath.Join(m.file.StateDir(), journal.ReportsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("leave a report: %w", err)
	}
	name := filepath.Join(dir, fmt.Sprintf("%012d-%s.json", left.Records, left.Head[:12]))
	if err := os.WriteFile(name, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("leave a report: %w", err)
	}
	var lost *LeaseLostError
	if errors.As(cause, &lost) {
		return nil // the store is another's now
	}
	return m.journal.Mirror(context.WithoutCancel(ctx))
}

// interrupted says of a verb that a signal ended what state that leaves users in, and what to type.
func (m *Migration) interrupted(ctx context.Context, err error) error {
	if err == nil || !errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	interrupted := &InterruptedError{Cause: err}
	if st, err := m.status(); err == nil { // what it would say is worth less than the cause
		interrupted.Left = st.left()
	}
	return interrupted
}

// InterruptedError says that a verb was stopped by a signal.
type InterruptedError struct {
	// Unchanged says that the verb changes nothing, and begins anew.
	Unchanged bool
	// Left says what state that leaves users in, where they notice, and what to type.
	Left  []string
	Cause error
}

// Error says what to type, and last what was under way.
func (e *InterruptedError) Error() string {
	said := append([]string{"interrupted: the same command goes on from here"}, e.Left...)
	if e.Unchanged {
		said[0] = "interrupted: nothing was changed, and the same command begins anew"
	}
	return strings.Join(said, "; ") + " (" + e.Cause.Error() + ")"
}

// Unwrap makes errors.Is find context.Canceled, where the cause does not hold it.
func (e *InterruptedError) Unwrap() []error { return []error{e.Cause, context.Canceled} }

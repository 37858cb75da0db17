package provision

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Actions of this step's changes.
const (
	ActionCreate plan.Action = "create"
	ActionRetain plan.Action = "retain"
	ActionDelete plan.Action = "delete"
)

// Options of Plan and Apply. Migration, Stage, Blue, Green and Namespaces are needed.
type Options struct {
	Migration string
	// Stage begins the ID of every change.
	Stage       string
	Blue, Green *kube.Client
	// Namespaces are what blue calls them and what green will.
	Namespaces []Namespace
	// Adopt uses namespaces of green that somebody else made and that are not empty.
	Adopt bool

	Log      *slog.Logger
	Clock    clock.Clock
	Observer plan.Observer
}

// Namespace is one namespace by both sides' names.
type Namespace struct{ Blue, Green string }

// Result is what Apply made.
type Result struct {
	Created int `json:"created"`
	// Found counts the namespaces that were there already.
	Found int `json:"found"`
}

// Error is a failure that the user can mend.
type Error struct {
	Op   string
	Hint string
	Err  error
}

// Error says what failed, and what mends it.
func (e *Error) Error() string {
	text := e.Op
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func (o Options) check() error {
	if o.Migration == "" || o.Stage == "" || o.Blue == nil || o.Green == nil || len(o.Namespaces) == 0 {
		return fmt.Errorf("provision: the migration, the stage, both sides and the namespaces are needed")
	}
	return nil
}

func orSystem(c clock.Clock) clock.Clock {
	if c == nil {
		return clock.System{}
	}
	return c
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

// sayEvery is how often a wait repeats its reason.
const sayEvery = 30 * time.Second

package provision

import (
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Actions of this step's changes.
const (
	ActionCreate plan.Action = "create"
	ActionAdopt  plan.Action = "adopt"
	ActionRetain plan.Action = "retain"
	ActionDelete plan.Action = "delete"
)

// Options of every call of this package. Migration, Stage, Blue, Green and Namespaces are needed.
type Options struct {
	// Migration names the migration; what is made carries it as a label.
	Migration string
	// Stage begins the ID of every change.
	Stage string
	Blue  *kube.Client
	Green *kube.Client
	// Namespaces maps each namespace of blue that moves to its name on green.
	Namespaces map[string]string
	// Adopt takes over namespaces that are on green already and are not empty.
	Adopt bool
	// Shared uses namespaces that are on green already and are not empty, and leaves them their owner's.
	Shared bool

	Log      *slog.Logger
	Clock    clock.Clock
	Observer plan.Observer
}

// Result is what a call made.
type Result struct {
	Created  int `json:"created,omitempty"`
	Adopted  int `json:"adopted,omitempty"`
	Retained int `json:"retained,omitempty"`
	Deleted  int `json:"deleted,omitempty"`
	// Found counts what was done already.
	Found int `json:"found,omitempty"`
}

// An Error is a failure that the user can mend.
type Error = mend.Error

func (o Options) withDefaults() (Options, error) {
	switch {
	case o.Blue == nil || o.Green == nil:
		return o, &Error{Op: "provision", Hint: "blue and green are needed"}
	case o.Migration == "" || o.Stage == "":
		return o, &Error{Op: "provision", Hint: "the migration and the stage need a name"}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Observer == nil {
		o.Observer = plan.Silent{}
	}
	return o, nil
}

// moving lists blue's namespaces in order.
func (o Options) moving() []string { return slices.Sorted(maps.Keys(o.Namespaces)) }

// ours reports whether a label set is this migration's.
func ours(labels map[string]string, migration string) bool {
	return labels[kube.LabelMigration] == migration
}

const defaultLimit = 10 * time.Minute

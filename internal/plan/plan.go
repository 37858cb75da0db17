package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/crossfade-project/crossfade/internal/cli"
)

// Format is the version of the JSON form of a Plan.
const Format = 1

// Plan is everything that one stage of a migration intends.
type Plan struct {
	Format    int    `json:"format"`
	Migration string `json:"migration"`
	// Stage names the stage in the pipeline, with its application where it has one: "restore", "swap/shop".
	Stage    string    `json:"stage"`
	Changes  []Change  `json:"changes"`
	Refusals []Refusal `json:"refusals,omitempty"`
	Notes    []Note    `json:"notes,omitempty"`
	// Data is the stage's own summary, for reports.
	Data json.RawMessage `json:"data,omitempty"`
}

// Action is the verb of a change, in the field's own terms.
type Action string

// Change is one change to the world.
type Change struct {
	// ID is stable and unique within a migration: planning the same change again gives the same ID.
	ID     string `json:"id"`
	Action Action `json:"action"`
	// Target is the object of the change as a person would name it: "green: Deployment shop/web".
	Target string `json:"target"`
	App    string `json:"app,omitempty"`
	Why    string `json:"why"`
	// ReliesOn is read again just before the change; when it moved, the change is refused.
	ReliesOn []Reliance `json:"reliesOn,omitempty"`
	// Reverse takes the change back. Nil means that there is nothing to take back, and Why says so.
	Reverse *Reverse `json:"reverse,omitempty"`
	// Data is what Apply consumes.
	Data json.RawMessage `json:"data,omitempty"`
}

// Reliance is one fact that a change was planned on.
type Reliance struct {
	What string `json:"what"`
	// Is is the fact, or its hash; secrets appear as keyed hashes only.
	Is string `json:"is"`
}

// Reverse says how a change is taken back.
type Reverse struct {
	Action Action          `json:"action"`
	How    string          `json:"how"`
	Data   json.RawMessage `json:"data,omitempty"`
}

// Refusal is a reason not to begin, found by reading, with its mend.
type Refusal struct {
	What string `json:"what"`
	Why  string `json:"why"`
	Mend string `json:"mend"`
	// At is where the migration file speaks of it: "migration.yaml:17:15: applications[0].hostnames[0].name".
	At string `json:"at,omitempty"`
}

// Level says how much a note matters.
type Level string

// Levels of notes. A Loss is an entry of the loss ledger: something that the other side cannot hold (I5).
const (
	Info    Level = "info"
	Warning Level = "warning"
	Loss    Level = "loss"
)

// Note is something that a person should know and that does not stop the plan.
type Note struct {
	Level Level  `json:"level"`
	What  string `json:"what"`
	Text  string `json:"text"`
}

// New returns an empty plan of a stage.
func New(migration, stage string) *Plan {
	return &Plan{Format: Format, Migration: migration, Stage: stage}
}

// Add appends a change.
func (p *Plan) Add(c Change) { p.Changes = append(p.Changes, c) }

// Refuse appends a refusal.
func (p *Plan) Refuse(what, why, mend string) {
	p.Refusals = append(p.Refusals, Refusal{What: what, Why: why, Mend: mend})
}

// Note appends a note.
func (p *Plan) Note(level Level, what, text string) {
	p.Notes = append(p.Notes, Note{Level: level, What: what, Text: text})
}

// Hash is the SHA-256 of the plan's JSON form, in hexadecimal: two plans with one hash do the same.
func (p *Plan) Hash() string {
	raw, err := json.Marshal(p)
	if err != nil {
		// A Plan holds only strings and RawMessages that were marshalled before.
		panic(fmt.Sprintf("plan of %s cannot be marshalled: %v", p.Stage, err))
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// Err returns nil for a plan that may be applied, otherwise a *RefusedError with every refusal.
func (p *Plan) Err() error {
	if len(p.Refusals) == 0 {
		return nil
	}
	return &RefusedError{Stage: p.Stage, Refusals: p.Refusals}
}

// RefusedError says why a plan is not applied.
type RefusedError struct {
	Stage    string
	Refusals []Refusal
}

// Error lists every refusal with its mend, one per line.
func (e *RefusedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is refused:", e.Stage)
	for _, r := range e.Refusals {
		fmt.Fprintf(&b, "\n  %s: %s", cli.Line(r.What), cli.OneLine(r.Why))
		if r.Mend != "" {
			fmt.Fprintf(&b, "\n    mend: %s", cli.OneLine(r.Mend))
		}
		if r.At != "" {
			fmt.Fprintf(&b, "\n    at: %s", cli.Line(r.At))
		}
	}
	return b.String()
}

// ErrMoved says that something a change relies on is no longer what it was when the plan was made.
var ErrMoved = errors.New("what the plan relies on has moved")

// MovedError names what moved.
type MovedError struct {
	Change   string
	What     string
	Was, Now string
}

// Error says what moved, and what to do.
func (e *MovedError) Error() string {
	return fmt.Sprintf("%s: %s was %q when the plan was made and is %q now; nothing was changed: plan again", e.Change, e.What, e.Was, e.Now)
}

// Is reports ErrMoved.
func (e *MovedError) Is(target error) bool { return target == ErrMoved }

// JSON marshals a value of a step's own type for Data. The types are plain data, so a failure is a mistake in the program.
func JSON(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("plan data %T cannot be marshalled: %v", v, err))
	}
	return raw
}

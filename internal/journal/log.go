package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/internal/mend"
)

// FileName is the journal's name in its state directory.
const FileName = "journal.jsonl"

// Sentinels, found with errors.Is.
var (
	// ErrBroken says that the hash chain does not hold: the journal was edited or damaged.
	ErrBroken = errors.New("the journal's hash chain is broken")
	// ErrNone says that the state directory holds no journal.
	ErrNone = errors.New("there is no journal yet")
	// ErrUnknown says that another version of crossfade wrote what this one must not pass over.
	ErrUnknown = errors.New("it was written by another version of crossfade")
	// ErrDiverged says that the state directory and the store each have records that the other has not.
	ErrDiverged = errors.New("neither is a part of the other")
)

// Error is a failure of the state that a person can mend.
type Error = mend.Error

// Mends of a journal that cannot be gone on with.
const (
	mendBroken = "it was edited or damaged: put back the file that was here, from a backup; where the migration file has a state.url, move " +
		"the state directory away, and the next run fetches it from there. `crossfade audit` shows what holds"
	mendOther = "use the version of crossfade that wrote it, or a newer one"
)

// Log is a journal as it was read: its records, and what follows from them.
type Log struct {
	Records []Record
	// Head is the hash of the last record.
	Head string
	// Torn is how many bytes of an unfinished last record were passed over.
	Torn int

	hashes  []string // of each record
	stages  map[string]*Stage
	changes map[string]*change
}

// Stage is what the journal knows of one stage.
type Stage struct {
	Name     string
	Began    time.Time // when it was first planned
	Ended    time.Time // when it finished; zero while it has not
	Plan     string    // hash of the plan that is in force; empty before there is one
	Finished bool
	Result   json.RawMessage
	Done     int // changes made
	Failure  string
}

type change struct {
	stage   string
	outcome json.RawMessage
	done    bool
	intent  bool
}

// Read reads the journal of a state directory and checks its chain. It takes no lock: a record being written
// by another process counts as torn.
func Read(dir string) (*Log, error) {
	path := filepath.Join(dir, FileName)
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", path, ErrNone)
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	l, err := parse(raw)
	if err != nil {
		return nil, unreadable(path, err)
	}
	return l, nil
}

// unreadable adds what mends a journal that cannot be read.
func unreadable(path string, err error) error {
	e := &Error{Op: "read " + path, Err: err, Hint: mendBroken}
	if errors.Is(err, ErrUnknown) {
		e.Hint = mendOther
	}
	return e
}

// parse reads records up to the last newline; what follows it is torn.
func parse(raw []byte) (*Log, error) {
	l := newLog()
	for n := 1; len(raw) > 0; n++ {
		end := bytes.IndexByte(raw, '\n')
		if end < 0 {
			l.Torn = len(raw)
			break
		}
		r, hash, err := decode(l.Head, raw[:end])
		if err == nil {
			err = l.accepts(r)
		}
		if err != nil {
			return l, fmt.Errorf("line %d: %w", n, err)
		}
		l.add(r, hash)
		raw = raw[end+1:]
	}
	return l, nil
}

// accepts refuses a record that does not follow, or whose format is too far from this version's.
func (l *Log) accepts(r Record) error {
	if want := uint64(len(l.Records) + 1); r.Seq != want {
		return fmt.Errorf("it says that it is record %d, and %d is due: %w", r.Seq, want, ErrBroken)
	}
	if r.Format > Format+1 || r.Format < max(oldest, Format-1) {
		return fmt.Errorf("it has format %d and this version reads %d to %d: %w", r.Format, max(oldest, Format-1), Format+1, ErrUnknown)
	}
	return nil
}

// mayGoOn refuses to write behind a record that had to be acted on and is not known.
func (l *Log) mayGoOn() error {
	for _, r := range l.Records {
		if r.Critical && !r.Kind.known() {
			return fmt.Errorf("record %d is of kind %q, which must be acted on and which this version does not know: %w", r.Seq, r.Kind, ErrUnknown)
		}
	}
	return nil
}

// HashOf returns the hash of a record, by its number from 1; empty where there is no such record.
func (l *Log) HashOf(record int) string {
	if record < 1 || record > len(l.hashes) {
		return ""
	}
	return l.hashes[record-1]
}

// RecordOf returns the number of the record with a hash, or 0.
func (l *Log) RecordOf(hash string) int { return slices.Index(l.hashes, hash) + 1 }

func newLog() *Log {
	return &Log{stages: map[string]*Stage{}, changes: map[string]*change{}}
}

// add takes a record in and derives the state of its stage and change.
func (l *Log) add(r Record, hash string) {
	l.Records = append(l.Records, r)
	l.hashes = append(l.hashes, hash)
	l.Head = hash
	switch r.Kind {
	case KindPlanned:
		s := l.stage(r.Stage)
		if s.Began.IsZero() {
			s.Began = r.Time
		}
		s.Plan, s.Failure = r.Plan, ""
	case KindIntent:
		l.change(r).intent = true
	case KindDone:
		c := l.change(r)
		if !c.done {
			l.stage(r.Stage).Done++
		}
		c.done, c.outcome = true, r.Data
	case KindFailed:
		l.stage(r.Stage).Failure = r.Error
	case KindFinished:
		s := l.stage(r.Stage)
		if s.Began.IsZero() {
			s.Began = r.Time
		}
		s.Finished, s.Ended, s.Result, s.Failure = true, r.Time, r.Data, ""
	case KindReset:
		delete(l.stages, r.Stage)
		for id, c := range l.changes {
			if c.stage == r.Stage {
				delete(l.changes, id)
			}
		}
	}
}

func (l *Log) stage(name string) *Stage {
	s, ok := l.stages[name]
	if !ok {
		s = &Stage{Name: name}
		l.stages[name] = s
	}
	return s
}

func (l *Log) change(r Record) *change {
	c, ok := l.changes[r.Change]
	if !ok {
		c = &change{stage: r.Stage}
		l.changes[r.Change] = c
	}
	return c
}

// Stage returns what is known of a stage; the zero Stage with its name where nothing is.
func (l *Log) Stage(name string) Stage {
	if s, ok := l.stages[name]; ok {
		return *s
	}
	return Stage{Name: name}
}

// Outcome returns the recorded outcome of a change.
func (l *Log) Outcome(changeID string) (json.RawMessage, bool) {
	c, ok := l.changes[changeID]
	if !ok || !c.done {
		return nil, false
	}
	return c.outcome, true
}

// Intended reports whether a change was begun, done or not.
func (l *Log) Intended(changeID string) bool {
	c, ok := l.changes[changeID]
	return ok && c.intent
}

// Noted returns the data of the notes with a name, oldest first.
func (l *Log) Noted(name string) []json.RawMessage {
	var out []json.RawMessage
	for _, r := range l.Records {
		if r.Kind == KindNoted && r.Stage == name {
			out = append(out, r.Data)
		}
	}
	return out
}

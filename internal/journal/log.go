package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Name of the journal's file in its state directory.
const fileName = "journal.jsonl"

// ErrBroken says that the hash chain does not hold: the journal was edited or damaged.
var ErrBroken = errors.New("the journal's hash chain is broken")

// ErrNone says that the state directory holds no journal.
var ErrNone = errors.New("there is no journal yet")

// Log is a journal as it was read: its records, and what follows from them.
type Log struct {
	Records []Record
	// Head is the hash of the last record.
	Head string
	// Torn is how many bytes of an unfinished last record were passed over.
	Torn int

	stages  map[string]*Stage
	changes map[string]*change
	order   []string
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
	path := filepath.Join(dir, fileName)
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", path, ErrNone)
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	l, err := parse(raw)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return l, nil
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
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if r.Seq != uint64(n) {
			return nil, fmt.Errorf("line %d: it says that it is record %d: %w", n, r.Seq, ErrBroken)
		}
		if r.Format > Format+1 {
			return nil, fmt.Errorf("line %d: it has format %d and this version of crossfade knows up to %d: use the version that wrote it", n, r.Format, Format+1)
		}
		l.add(r, hash)
		raw = raw[end+1:]
	}
	return l, nil
}

func newLog() *Log {
	return &Log{stages: map[string]*Stage{}, changes: map[string]*change{}}
}

// add takes a record in and derives the state of its stage and change.
func (l *Log) add(r Record, hash string) {
	l.Records = append(l.Records, r)
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
		l.order = append(l.order, name)
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

package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Examine reads as much of a state directory's journal as holds. With an error, the log ends before the line that the error
// names.
func Examine(dir string) (*Log, error) {
	path := filepath.Join(dir, FileName)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newLog(), fmt.Errorf("read %s: %w", path, ErrNone)
	}
	if err != nil {
		return newLog(), fmt.Errorf("read the journal: %w", err)
	}
	l, err := parse(raw)
	if err != nil {
		return l, unreadable(path, err)
	}
	return l, nil
}

// Strange counts the records whose kinds this version does not know; they are kept.
func (l *Log) Strange() int {
	n := 0
	for _, r := range l.Records {
		if !r.Kind.known() {
			n++
		}
	}
	return n
}

// PlanFile is a plan that the journal names, in force or not.
type PlanFile struct {
	Stage string
	Hash  string
	Name  string // within the state directory, or the store
}

// Plans lists every plan that the journal names, once, in order.
func (l *Log) Plans() []PlanFile { return l.PlansUntil(len(l.Records)) }

// PlansUntil lists the plans that the first records name.
func (l *Log) PlansUntil(records int) []PlanFile {
	var list []PlanFile
	for _, r := range l.Records[:min(records, len(l.Records))] {
		f := PlanFile{Stage: r.Stage, Hash: r.Plan, Name: planName(r.Stage, r.Plan)}
		if r.Kind == KindPlanned && !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}

// CheckPlan reads a plan of a state directory and returns why it is not the one that the journal names, or nil.
func CheckPlan(dir string, f PlanFile) error {
	_, err := readPlan(dir, f.Stage, f.Hash)
	return err
}

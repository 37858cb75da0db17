package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// The kinds of things that a run leaves on the machine.
const (
	Process   = "process"   // a child process
	Namespace = "namespace" // a named network namespace, with every process in it
	Link      = "link"      // a network interface of the machine, such as a bridge
	Cgroup    = "cgroup"    // a control group's path below each hierarchy, with every process in it
	Folder    = "folder"    // a folder outside the state folder, removed only when empty
)

// An Entry is one thing that was made.
type Entry struct {
	Kind  string `json:"kind,omitempty"`
	Name  string `json:"name"`
	PID   int    `json:"pid,omitempty"`
	Start uint64 `json:"start,omitempty"` // the process's start, in clock ticks since boot
	Gone  bool   `json:"gone,omitempty"`  // it was removed
}

// A Log is the record of one run. A nil *Log remembers nothing, for callers that clean up by themselves.
type Log struct {
	mu   sync.Mutex
	file *os.File
}

// Open opens the record for adding, or starts it.
func Open(path string) (*Log, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open record: %w", err)
	}
	return &Log{file: file}, nil
}

// Made remembers that e exists, or is about to.
func (l *Log) Made(e Entry) error { return l.write(e) }

// Gone remembers that e was removed.
func (l *Log) Gone(e Entry) error {
	e.Gone = true
	return l.write(e)
}

func (l *Log) write(e Entry) error {
	if l == nil {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

// Close closes the file.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

// Left returns what a record says was made and not removed, in the order in which it was made. No record is an
// empty one.
func Left(path string) ([]Entry, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	var left []Entry
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		var e Entry
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // the last line of a killed run
		}
		gone := e.Gone
		e.Gone = false
		if gone {
			left = slices.DeleteFunc(left, func(have Entry) bool { return have == e })
			continue
		}
		left = append(left, e)
	}
	return left, lines.Err()
}

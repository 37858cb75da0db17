package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Moment is when, in the life of a record, the program is stopped.
type Moment string

// The moments of a record.
const (
	Before Moment = "before" // nothing of it is written
	Torn   Moment = "torn"   // half of its line is written
	After  Moment = "after"  // it is durable, and nothing comes after it
)

// File is what records are written to. *os.File is one.
type File interface {
	Write([]byte) (int, error)
	Sync() error
}

// Points is what is armed. Nil is nothing, at no cost. Whoever writes the journal guards it against two at once.
type Points struct {
	moment Moment
	record uint64 // the record's number, or 0 where text chooses it
	text   string // part of the record's line
	nth    int    // which of those that the text is part of, from 1

	met int // so far
	act func()
}

// Parse reads what to do, when, at which record: "kill before 17", "kill torn 17", or, with a part of the record's line
// instead of its number, `hold after "kind":"finished","stage":"export"`. A text that ends with " #3" is met by the third record
// of this process that it is part of. Held, the program makes the file hold and waits until that is gone.
func Parse(spec, hold string) (*Points, error) {
	parts := strings.SplitN(spec, " ", 3)
	if len(parts) != 3 || parts[2] == "" {
		return nil, fmt.Errorf("read the fault %q: it must be kill or hold, a moment, and a record", spec)
	}
	p := &Points{moment: Moment(parts[1])}
	switch parts[0] {
	case "kill":
		p.act = kill
	case "hold":
		if hold == "" {
			return nil, fmt.Errorf("read the fault %q: no file to hold by is named", spec)
		}
		p.act = func() { wait(hold) }
	default:
		return nil, fmt.Errorf("read the fault %q: %q is neither kill nor hold", spec, parts[0])
	}
	if p.moment != Before && p.moment != Torn && p.moment != After {
		return nil, fmt.Errorf("read the fault %q: %q is no moment of a record", spec, parts[1])
	}
	var err error
	if p.record, err = strconv.ParseUint(parts[2], 10, 64); err == nil {
		return p, nil
	}
	p.text, p.nth = parts[2], 1
	if i := strings.LastIndex(p.text, " #"); i > 0 {
		if p.nth, err = strconv.Atoi(p.text[i+2:]); err != nil || p.nth < 1 {
			return nil, fmt.Errorf("read the fault %q: it does not end with a number", spec)
		}
		p.text = p.text[:i]
	}
	return p, nil
}

// Write writes lines of the journal to f. At the record that is armed, it does what it was told.
func (p *Points) Write(f File, lines []byte) (int, error) {
	if p == nil {
		return f.Write(lines)
	}
	written := 0
	for len(lines) > 0 {
		line := lines
		if end := bytes.IndexByte(lines, '\n'); end >= 0 {
			line = lines[:end+1]
		}
		lines = lines[len(line):]
		n, err := p.writeLine(f, line)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (p *Points) writeLine(f File, line []byte) (int, error) {
	if !p.chooses(line) {
		return f.Write(line)
	}
	first := 0
	switch p.moment {
	case Torn:
		first = len(line) / 2
	case After:
		first = len(line)
	}
	n, err := f.Write(line[:first])
	if err = errors.Join(err, f.Sync()); err != nil {
		return n, err
	}
	p.act()
	more, err := f.Write(line[first:])
	return n + more, err
}

func (p *Points) chooses(line []byte) bool {
	if p.record == 0 {
		if bytes.Contains(line, []byte(p.text)) {
			p.met++
			return p.met == p.nth
		}
		return false
	}
	var l struct {
		Record struct {
			Seq uint64 `json:"seq"`
		} `json:"record"`
	}
	return json.Unmarshal(line, &l) == nil && l.Record.Seq == p.record
}

// kill ends the program at once, and does not return: nothing may happen after the point.
func kill() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill() // the test sees a program that was not killed
	}
	select {}
}

// wait makes a file and returns when it is gone.
func wait(file string) {
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return // the test waits for the file, and says that it never came
	}
	for {
		if _, err := os.Stat(file); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

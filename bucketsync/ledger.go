package bucketsync

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Fate is what became of a property that could not be carried as it is.
type Fate string

// Fates of properties.
const (
	// Lost means that the destination cannot hold it.
	Lost Fate = "lost"
	// Mapped means that it is there in another form.
	Mapped Fate = "mapped"
)

// Entry is one property of one object in the ledger.
type Entry struct {
	Key      string `json:"key"`
	Property string `json:"property"`
	Fate     Fate   `json:"fate"`
	Detail   string `json:"detail"`
}

// Loss sums the entries of one property and fate.
type Loss struct {
	Property string  `json:"property"`
	Fate     Fate    `json:"fate"`
	Objects  int64   `json:"objects"`
	Examples []Entry `json:"examples"` // the first ones
}

// maxExamples bounds what a ledger keeps of one property; the sums are always whole.
const maxExamples = 100

// ledger keeps what was lost or mapped: sums of everything, and examples.
type ledger struct {
	// path of a file that gets every entry; empty is none. With foreseen, its lines say that nothing was lost yet, and such lines of an earlier
	// plan are replaced; a file that holds anything else is left alone.
	path     string
	foreseen bool

	mu   sync.Mutex
	sums map[string]*Loss
	file *os.File
}

// add enters what becomes of an object's properties. Where a file is kept, the entries are in it when add returns.
func (l *ledger) add(key string, entries []Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.write(key, entries); err != nil {
		return ownFile(fmt.Errorf("write the ledger of losses: %w", err))
	}
	if l.sums == nil {
		l.sums = map[string]*Loss{}
	}
	counted := map[string]bool{} // an object counts once per property
	for _, e := range entries {
		e.Key = key
		id := string(e.Fate) + " " + e.Property
		sum, ok := l.sums[id]
		if !ok {
			sum = &Loss{Property: e.Property, Fate: e.Fate}
			l.sums[id] = sum
		}
		if !counted[id] {
			counted[id] = true
			sum.Objects++
		}
		if len(sum.Examples) < maxExamples {
			sum.Examples = append(sum.Examples, e)
		}
	}
	return nil
}

// lossLine is an entry on file. A key that is not UTF-8 is kept byte for byte.
type lossLine struct {
	Entry
	Raw []byte `json:"rawKey,omitempty"`
	// Foreseen tells the line of a plan from that of what was lost.
	Foreseen bool `json:"foreseen,omitempty"`
}

// onlyForeseen refuses a file that has anything but lines that an earlier plan has written: what was lost is written down nowhere else.
func onlyForeseen(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	in := json.NewDecoder(f)
	for {
		var line lossLine
		err := in.Decode(&line)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil || !line.Foreseen {
			return &mend.Error{
				Op: "write what would be lost to " + path, Err: ErrOtherLosses,
				Hint: "name another file with --losses, or take this one away; without --dry-run it is appended to",
			}
		}
	}
}

// write puts the entries of an object into the file, in one write: after a kill, all lines but the last are whole.
func (l *ledger) write(key string, entries []Entry) error {
	if l.path == "" || len(entries) == 0 && (!l.foreseen || l.file != nil) {
		return nil
	}
	if l.file == nil {
		mode := os.O_WRONLY | os.O_CREATE | os.O_APPEND
		if l.foreseen {
			if err := onlyForeseen(l.path); err != nil {
				return err
			}
			mode |= os.O_TRUNC
		}
		var err error
		if l.file, err = os.OpenFile(l.path, mode, 0o600); err != nil {
			return err
		}
	}
	var lines []byte
	for _, e := range entries {
		e.Key = key
		line := lossLine{Entry: e, Foreseen: l.foreseen}
		if !utf8.ValidString(key) {
			line.Key, line.Raw = "", []byte(key)
		}
		raw, err := json.Marshal(line)
		if err != nil {
			return err
		}
		lines = append(append(lines, raw...), '\n')
	}
	_, err := l.file.Write(lines)
	return err
}

// close ends the file.
func (l *ledger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	file := l.file
	l.file = nil
	return file.Close()
}

// losses returns the sums: what is lost first.
func (l *ledger) losses() []Loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Loss, 0, len(l.sums))
	for _, sum := range l.sums {
		out = append(out, *sum)
	}
	slices.SortFunc(out, func(a, b Loss) int {
		return cmp.Or(cmp.Compare(a.Fate, b.Fate), cmp.Compare(a.Property, b.Property))
	})
	return out
}

// note writes the ledger into a plan: a note per sum, then one per example that is kept.
func (l *ledger) note(p *plan.Plan, name string, strict bool) {
	for _, sum := range l.losses() {
		if sum.Fate == Mapped {
			p.Note(plan.Info, name, sum.String())
			continue
		}
		p.Note(plan.Loss, name, sum.String())
		for _, e := range sum.Examples {
			p.Note(plan.Loss, name+": "+cli.Quoted(e.Key), e.Property+": "+e.Detail)
		}
		if strict {
			p.Refuse(name, sum.String(), "choose a destination that can hold it, remove it at the source, or do without strict")
		}
	}
}

// String is the loss in one line, with its first examples.
func (s Loss) String() string {
	details := make([]string, 0, 3)
	for _, e := range s.Examples {
		if !slices.Contains(details, e.Detail) {
			details = append(details, e.Detail)
		}
		if len(details) == cap(details) {
			break
		}
	}
	return cli.Count(int(s.Objects), "object") + ": " + s.Property + " is " + string(s.Fate) + ", for example: " + strings.Join(details, "; ")
}

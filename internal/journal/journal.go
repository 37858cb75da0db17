package journal

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/fault"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Options say who writes. The zero value works.
type Options struct {
	Actor string // user@host
	Tool  string // version of crossfade
	Clock clock.Clock
	// Replicated says that a store keeps the state too: nothing is written before Attach.
	Replicated bool
	// Fault is nil in every build but those that tests make to be killed.
	Fault *fault.Points
	// Clean takes secrets out of the errors that are recorded. Nil leaves them as they are.
	Clean func(string) string
}

// Journal is the journal open for writing, by this process alone. It implements plan.Recorder.
type Journal struct {
	dir   string
	opts  Options
	id    string
	lock  *flock.Flock
	guard func() error // set before the first record

	mu      sync.Mutex // guards what follows
	file    file       // nil until the first record of a new journal
	log     *Log
	written uint64
	opened  bool   // this process has said who it is
	torn    int    // bytes of a torn record that were cut off, and not told of yet
	pending []byte // lines that are not in the store yet
	broken  error  // the first failed write or sync: nothing is written after it

	syncMu sync.Mutex // one commit at a time; those who wait for it share it
	synced uint64
	copies *replica // nil without a store
}

// file is what of an *os.File the journal needs.
type file interface {
	fault.File
	Close() error
}

var _ plan.Recorder = (*Journal)(nil)

// HeldError says that another process writes the journal.
type HeldError struct {
	Dir    string
	Holder string
	// Whose state it is; empty is the migration's.
	Whose string
}

// Error says who holds the journal.
func (e *HeldError) Error() string {
	return fmt.Sprintf("the %s state in %s is in use by %s: wait until that run has ended, or end it; it goes on from where it stopped", cmp.Or(e.Whose, "migration's"), e.Dir, e.Holder)
}

// Names of the files that are this machine's own.
const (
	lockName = "lock"
	idName   = "id"
)

// Open tries for the lock more than once: whoever only looks at who holds it has it for a moment.
const (
	lockTries = 5
	lockPause = 20 * time.Millisecond
)

// Open opens the journal of a state directory for writing, creating the directory where it is missing. It cuts off a torn last
// record and writes nothing: the first record tells who has opened it. It fails with a *HeldError while another process
// has it open, with ErrBroken where the chain does not hold, and with ErrUnknown behind a record of another version that
// had to be acted on.
func Open(dir string, opts Options) (*Journal, error) {
	if opts.Clock == nil {
		opts.Clock = clock.System{}
	}
	if err := os.MkdirAll(filepath.Join(dir, plansDir), 0o700); err != nil {
		return nil, &Error{Op: "make the state directory", Err: err, Hint: "name a directory that can be written as state.directory in the migration file"}
	}
	lockPath := filepath.Join(dir, lockName)
	lock := flock.New(lockPath)
	ok, err := lock.TryLock()
	for try := 1; err == nil && !ok && try < lockTries; try++ {
		time.Sleep(lockPause)
		ok, err = lock.TryLock()
	}
	if err != nil {
		return nil, &Error{Op: "lock the state directory", Err: err, Hint: "it must be a directory that can be written and whose file system has locks"}
	}
	if !ok {
		return nil, &HeldError{Dir: dir, Holder: holder(lockPath)}
	}
	j := &Journal{dir: dir, opts: opts, lock: lock, log: newLog()}
	if err := j.open(); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return j, nil
}

func (j *Journal) open() error {
	who := fmt.Sprintf("%s, process %d, since %s", orUnknown(j.opts.Actor), os.Getpid(), j.opts.Clock.Now().Format("2006-01-02 15:04:05"))
	if err := os.WriteFile(filepath.Join(j.dir, lockName), []byte(who+"\n"), 0o600); err != nil {
		return j.unwritable("write the lock's holder", err)
	}
	var err error
	if j.id, err = identify(j.dir); err != nil {
		return j.unwritable("name the state directory", err)
	}
	log, err := Read(j.dir)
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := log.mayGoOn(); err != nil {
		return unreadable(filepath.Join(j.dir, FileName), err)
	}
	f, err := j.openFile()
	if err != nil {
		return err
	}
	if log.Torn > 0 {
		if err := cutTail(f, log.Torn); err != nil {
			return errors.Join(j.unwritable("mend the journal", err), f.Close())
		}
		j.torn, log.Torn = log.Torn, 0
	}
	j.file, j.log = f, log
	j.written = uint64(len(log.Records))
	j.synced = j.written
	return nil
}

// openFile opens the journal's file, and makes its name durable.
func (j *Journal) openFile() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(j.dir, FileName), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, j.unwritable("open the journal", err)
	}
	if err := syncDir(j.dir); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (j *Journal) unwritable(op string, err error) error {
	return &Error{
		Op: op + " in " + j.dir, Err: err,
		Hint: "nothing was changed behind the last record; see that there is room on that disk and that the directory can be written, then run the same command again",
	}
}

func cutTail(f *os.File, n int) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return f.Truncate(info.Size() - int64(n))
}

func holder(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "another process"
	}
	return orUnknown(strings.TrimSpace(string(raw)))
}

func orUnknown(s string) string {
	if s == "" {
		return "somebody"
	}
	return s
}

// ID names this state directory: a lease that bears it was left by a process that held this directory's lock.
func (j *Journal) ID() string { return j.id }

// Guard sets what is asked before every write; its error ends the writing. It is set before the first record.
func (j *Journal) Guard(may func() error) { j.guard = may }

// Close gives the journal back.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var err error
	if j.file != nil {
		err = j.file.Close()
	}
	return errors.Join(err, j.lock.Unlock())
}

// append makes records durable, here and in the store. Callers that come while a commit is under way share the next one.
func (j *Journal) append(records ...Record) error {
	if j.guard != nil {
		if err := j.guard(); err != nil {
			return j.breaks(err)
		}
	}
	last, err := j.write(records)
	if err != nil {
		return err
	}
	return j.commit(last)
}

// breaks ends the writing: what is written after a failure could contradict what others have made of it.
func (j *Journal) breaks(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken == nil {
		j.broken = err
	}
	return j.broken
}

var errNotAttached = errors.New("the journal's store is not attached: begin first")

func (j *Journal) write(records []Record) (last uint64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return 0, j.broken
	}
	if j.opts.Replicated && j.copies == nil {
		return 0, errNotAttached
	}
	if j.file == nil {
		if j.file, err = j.openFile(); err != nil {
			j.file = nil
			return 0, err
		}
	}
	for _, r := range append(j.greeting(), records...) {
		r.Format, r.Seq, r.Time = Format, j.written+1, j.opts.Clock.Now().UTC()
		if j.opts.Clean != nil && r.Error != "" {
			r.Error = j.opts.Clean(r.Error)
		}
		raw, hash, err := encode(j.log.Head, r)
		if err != nil {
			return 0, err
		}
		if _, err := j.opts.Fault.Write(j.file, raw); err != nil {
			j.broken = j.unwritable("write to the journal", err)
			return 0, j.broken
		}
		if j.copies != nil {
			j.pending = append(j.pending, raw...)
		}
		j.written++
		j.log.add(r, hash)
	}
	return j.written, nil
}

// greeting are the records that come before a process's first.
func (j *Journal) greeting() []Record {
	if j.opened {
		return nil
	}
	j.opened = true
	var records []Record
	if j.torn > 0 {
		records = append(records, Record{Kind: KindMended, Data: plan.JSON(map[string]int{"bytes": j.torn})})
		j.torn = 0
	}
	return append(records, Record{Kind: KindOpened, Data: plan.JSON(Opened{Actor: j.opts.Actor, Tool: j.opts.Tool})})
}

// commit makes everything up to a record durable: first on disk, then in the store.
func (j *Journal) commit(seq uint64) error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if j.synced >= seq {
		return nil
	}
	j.mu.Lock()
	upTo, lines, broken := j.written, j.pending, j.broken
	j.pending = nil
	j.mu.Unlock()
	if broken != nil {
		return broken
	}
	if err := j.file.Sync(); err != nil {
		return j.breaks(j.unwritable("flush the journal", err))
	}
	if j.copies != nil {
		if err := j.copies.add(j.synced+1, lines); err != nil {
			return j.breaks(err)
		}
	}
	j.synced = upTo
	return nil
}

// Done implements plan.Recorder.
func (j *Journal) Done(changeID string) (json.RawMessage, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.Outcome(changeID)
}

// Intend implements plan.Recorder.
func (j *Journal) Intend(stage string, changes ...plan.Change) error {
	records := make([]Record, len(changes))
	for i, c := range changes {
		records[i] = Record{Kind: KindIntent, Stage: stage, Change: c.ID}
	}
	return j.append(records...)
}

// Succeed implements plan.Recorder.
func (j *Journal) Succeed(stage, changeID string, outcome json.RawMessage) error {
	return j.append(Record{Kind: KindDone, Stage: stage, Change: changeID, Data: outcome})
}

// Fail implements plan.Recorder.
func (j *Journal) Fail(stage, changeID string, cause error) error {
	return j.append(Record{Kind: KindFailed, Stage: stage, Change: changeID, Error: cause.Error()})
}

// Finish records that a stage is over, with its result.
func (j *Journal) Finish(stage string, result any) error {
	return j.append(Record{Kind: KindFinished, Stage: stage, Data: plan.JSON(result)})
}

// Reset takes a stage back to nothing, so that it is planned and done again.
func (j *Journal) Reset(stage, why string) error {
	return j.append(Record{Kind: KindReset, Stage: stage, Error: why})
}

// Note keeps data under a name.
func (j *Journal) Note(name string, data any) error {
	return j.append(Record{Kind: KindNoted, Stage: name, Data: plan.JSON(data)})
}

// View calls f with the log as it is now. The log must not be kept or changed.
func (j *Journal) View(f func(*Log)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f(j.log)
}

// Stage returns what is known of a stage.
func (j *Journal) Stage(name string) Stage {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.Stage(name)
}

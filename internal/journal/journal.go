package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

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
	// Fault is nil in every build but those that tests make to be killed.
	Fault *fault.Points
}

// Journal is the journal open for writing, by this process alone. It implements plan.Recorder.
type Journal struct {
	dir   string
	clock clock.Clock
	fault *fault.Points
	lock  *flock.Flock

	mu      sync.Mutex // guards what follows
	file    *os.File
	log     *Log
	written uint64
	broken  error // the first failed write or sync: nothing is written after it

	syncMu sync.Mutex // one fsync at a time; those who wait for it share it
	synced uint64
}

var _ plan.Recorder = (*Journal)(nil)

// HeldError says that another process writes the journal.
type HeldError struct {
	Dir    string
	Holder string
}

// Error says who holds the journal.
func (e *HeldError) Error() string {
	return fmt.Sprintf("the migration's state in %s is in use by %s: wait until that run has ended, or end it; it goes on from where it stopped", e.Dir, e.Holder)
}

// Open opens the journal of a state directory for writing, creating both where they are missing. It cuts off a torn last
// record. It fails with a *HeldError while another process has it open, and with ErrBroken where the chain does not hold.
func Open(dir string, opts Options) (*Journal, error) {
	if opts.Clock == nil {
		opts.Clock = clock.System{}
	}
	if err := os.MkdirAll(filepath.Join(dir, "plans"), 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	lockPath := filepath.Join(dir, "lock")
	lock := flock.New(lockPath)
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	if !ok {
		return nil, &HeldError{Dir: dir, Holder: holder(lockPath)}
	}
	j := &Journal{dir: dir, clock: opts.Clock, fault: opts.Fault, lock: lock}
	if err := j.open(opts); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return j, nil
}

func (j *Journal) open(opts Options) error {
	who := fmt.Sprintf("%s, process %d, since %s", orUnknown(opts.Actor), os.Getpid(), j.clock.Now().Format("2006-01-02 15:04:05"))
	if err := os.WriteFile(filepath.Join(j.dir, "lock"), []byte(who+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the lock's holder: %w", err)
	}
	log, err := Read(j.dir)
	if errors.Is(err, ErrNone) {
		log, err = newLog(), nil
	}
	if err != nil {
		return err
	}
	path := filepath.Join(j.dir, fileName)
	j.file, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the journal: %w", err)
	}
	torn := log.Torn
	if torn > 0 {
		if err := cutTail(j.file, torn); err != nil {
			return errors.Join(err, j.file.Close())
		}
		log.Torn = 0
	}
	j.log = log
	j.written = uint64(len(log.Records))
	j.synced = j.written
	if err := syncDir(j.dir); err != nil {
		return errors.Join(err, j.file.Close())
	}
	if torn > 0 {
		if err := j.append(Record{Kind: KindMended, Data: plan.JSON(map[string]int{"bytes": torn})}); err != nil {
			return errors.Join(err, j.file.Close())
		}
	}
	return j.append(Record{Kind: KindOpened, Data: plan.JSON(Opened{Actor: opts.Actor, Tool: opts.Tool})})
}

func cutTail(f *os.File, n int) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("mend the journal: %w", err)
	}
	if err := f.Truncate(info.Size() - int64(n)); err != nil {
		return fmt.Errorf("mend the journal: %w", err)
	}
	return nil
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

// Close gives the journal back.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.file.Close(), j.lock.Unlock())
}

// append makes a record durable. Callers that come while an fsync is under way share the next one.
func (j *Journal) append(records ...Record) error {
	last, err := j.write(records)
	if err != nil {
		return err
	}
	return j.syncTo(last)
}

func (j *Journal) write(records []Record) (last uint64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return 0, j.broken
	}
	for _, r := range records {
		r.Format, r.Seq, r.Time = Format, j.written+1, j.clock.Now().UTC()
		raw, hash, err := encode(j.log.Head, r)
		if err != nil {
			return 0, err
		}
		if _, err := j.fault.Write(j.file, raw); err != nil {
			j.broken = fmt.Errorf("write to the journal in %s: %w", j.dir, err)
			return 0, j.broken
		}
		j.written++
		j.log.add(r, hash)
	}
	return j.written, nil
}

func (j *Journal) syncTo(seq uint64) error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if j.synced >= seq {
		return nil
	}
	j.mu.Lock()
	upTo, broken := j.written, j.broken
	j.mu.Unlock()
	if broken != nil {
		return broken
	}
	if err := j.file.Sync(); err != nil {
		err = fmt.Errorf("flush the journal in %s: %w", j.dir, err)
		j.mu.Lock()
		j.broken = err
		j.mu.Unlock()
		return err
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

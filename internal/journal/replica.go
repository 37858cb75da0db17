package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/remote"
)

// Names in the store.
const (
	chunksDir = "journal/"
	chunkExt  = ".jsonl"
)

// fetchParallel is how many chunks are read at once.
const fetchParallel = 16

// replica is the copy of a state directory in a store. The journal is there in chunks, each named by its first record and never
// changed: who tries to write behind a record that is not the last any more finds the name taken.
type replica struct {
	store remote.Store
	seen  map[string]mirrored // of the files beside the journal
	// add and plan write a chunk, and a plan. What was begun is told to the end, also when the work was called off: they
	// are bounded by the store's patience.
	add  func(first uint64, lines []byte) error
	plan func(name string) error
}

func chunkName(first uint64) string { return fmt.Sprintf("%s%012d%s", chunksDir, first, chunkExt) }

func (r *replica) addChunk(ctx context.Context, first uint64, lines []byte) error {
	err := remote.Create(ctx, r.store, chunkName(first), lines)
	if errors.Is(err, remote.ErrConflict) {
		return &Error{
			Op: fmt.Sprintf("copy record %d to the store", first), Err: err,
			Hint: "another machine goes on with this migration, and nothing was changed from here since: `crossfade status` shows who; " +
				"to go on here, move the state directory away when that run has ended, and run again: the state is fetched from the store",
		}
	}
	if err != nil {
		return fmt.Errorf("copy record %d to the store: %w", first, err)
	}
	return nil
}

// chunk is one object of the journal in the store.
type chunk struct {
	name  string
	first uint64 // its first record
}

// chunksOf finds the journal among the names of a store.
func chunksOf(names []string) ([]chunk, error) {
	var list []chunk
	for _, name := range names {
		digits, ok := strings.CutPrefix(name, chunksDir)
		if !ok {
			continue
		}
		first, err := strconv.ParseUint(strings.TrimSuffix(digits, chunkExt), 10, 64)
		if err != nil || chunkName(first) != name {
			return nil, fmt.Errorf("%s is no part of a journal: %w", name, ErrBroken)
		}
		list = append(list, chunk{name: name, first: first})
	}
	if len(list) > 0 && list[0].first != 1 {
		return nil, fmt.Errorf("the journal in the store begins with record %d: %w", list[0].first, ErrBroken)
	}
	return list, nil
}

// fetch reads chunks, and checks that each begins where the one before ends.
func fetch(ctx context.Context, store remote.Reader, chunks []chunk) ([]byte, error) {
	parts := make([][]byte, len(chunks))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetchParallel)
	for i, c := range chunks {
		group.Go(func() error {
			raw, _, err := remote.Read(ctx, store, c.name)
			if err == nil && (len(raw) == 0 || raw[len(raw)-1] != '\n') {
				err = fmt.Errorf("%s does not end with a record: %w", c.name, ErrBroken)
			}
			parts[i] = raw
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, c := range chunks[:max(0, len(chunks)-1)] {
		if next := c.first + uint64(bytes.Count(parts[i], []byte("\n"))); next != chunks[i+1].first {
			return nil, fmt.Errorf("%s should be followed by record %d, and is by %s: %w", c.name, next, chunks[i+1].name, ErrBroken)
		}
	}
	return bytes.Join(parts, nil), nil
}

// LastChunk returns the number of the first record of the last chunk that a store keeps: it has at least as many. 0 is none.
func LastChunk(ctx context.Context, store remote.Reader) (uint64, error) {
	names, err := store.List(ctx, chunksDir)
	if err != nil {
		return 0, fmt.Errorf("look for the journal in the store: %w", err)
	}
	chunks, err := chunksOf(names)
	if err != nil || len(chunks) == 0 {
		return 0, err
	}
	return chunks[len(chunks)-1].first, nil
}

// PlanIn returns the plan of a stage that is in force, from a store.
func PlanIn(ctx context.Context, store remote.Reader, s Stage) (*plan.Plan, error) {
	raw, _, err := remote.Read(ctx, store, planName(s.Name, s.Plan))
	if err != nil {
		return nil, fmt.Errorf("read the plan of %s in the store: %w", s.Name, err)
	}
	p, err := parsePlan(raw, s.Plan)
	if err != nil {
		return nil, fmt.Errorf("read the plan of %s in the store: %w", s.Name, err)
	}
	return p, nil
}

// ReadStore reads and checks the journal that a store keeps; ErrNone where it keeps none.
func ReadStore(ctx context.Context, store remote.Reader) (*Log, error) {
	names, err := store.List(ctx, chunksDir)
	if err != nil {
		return nil, fmt.Errorf("read the journal in the store: %w", err)
	}
	chunks, err := chunksOf(names)
	if err == nil && len(chunks) == 0 {
		err = ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal in the store: %w", err)
	}
	raw, err := fetch(ctx, store, chunks)
	if err != nil {
		return nil, fmt.Errorf("read the journal in the store: %w", err)
	}
	l, err := parse(raw)
	if err != nil {
		return l, unreadable("the journal in the store", err)
	}
	return l, nil
}

// Attached says what Attach found.
type Attached struct {
	Fetched  int // records that were in the store alone
	Uploaded int // records that were here alone
}

// Attach connects the journal with the store that keeps a copy of it, and makes both equal: what one has and the other has not
// is added there. Where each has records that the other has not, it refuses. From here on a record is durable when
// both have it.
func (j *Journal) Attach(ctx context.Context, store remote.Store) (Attached, error) {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	kept := context.WithoutCancel(ctx)
	r := &replica{store: store, seen: map[string]mirrored{}}
	r.add = func(first uint64, lines []byte) error { return r.addChunk(kept, first, lines) }
	r.plan = func(name string) error { return r.send(kept, j.dir, name) }
	names, err := store.List(ctx, "")
	if err != nil {
		return Attached{}, fmt.Errorf("look for the state in the store: %w", err)
	}
	chunks, err := chunksOf(names)
	if err != nil {
		return Attached{}, unreadable("the journal in the store", err)
	}
	news, common, err := j.compare(ctx, store, chunks)
	if err != nil {
		return Attached{}, err
	}
	result := Attached{Fetched: bytes.Count(news, []byte("\n")), Uploaded: int(j.written - common)}
	if len(news) > 0 {
		result.Uploaded = 0
	}
	// The plans come before the records that name them, on either side.
	if err := r.exchange(ctx, j.dir, names, result.Fetched > 0); err != nil {
		return Attached{}, err
	}
	switch {
	case result.Fetched > 0:
		err = j.takeIn(news)
	case result.Uploaded > 0:
		var lines []byte
		if lines, err = linesFrom(filepath.Join(j.dir, FileName), common); err == nil {
			err = r.addChunk(ctx, common+1, lines)
		}
	}
	if err != nil {
		return Attached{}, err
	}
	j.copies, j.synced = r, j.written
	return result, nil
}

// compare reads only as much of the store's journal as it needs: the chunk that holds the last record that both can have, and
// what follows it. The hash of that record stands for all before it. It returns the lines that only the store has, and how many
// records both have.
func (j *Journal) compare(ctx context.Context, store remote.Store, chunks []chunk) (news []byte, common uint64, err error) {
	from := 0
	for i, c := range chunks {
		if c.first <= j.written {
			from = i
		}
	}
	raw, err := fetch(ctx, store, chunks[from:])
	if err != nil {
		return nil, 0, unreadable("the journal in the store", err)
	}
	if len(chunks) == 0 {
		return nil, 0, nil
	}
	first := chunks[from].first
	theirs := first - 1 + uint64(bytes.Count(raw, []byte("\n")))
	common = min(j.written, theirs)
	if common == 0 {
		return raw, 0, nil
	}
	lines := bytes.SplitAfter(raw, []byte("\n"))
	hash, err := hashOf(lines[common-first])
	if err != nil {
		return nil, 0, unreadable("the journal in the store", err)
	}
	if hash != j.log.HashOf(int(common)) {
		return nil, 0, j.diverged(ctx, store, chunks, theirs)
	}
	return bytes.Join(lines[common-first+1:], nil), common, nil
}

// diverged finds the first record that differs, and says what to do.
func (j *Journal) diverged(ctx context.Context, store remote.Store, chunks []chunk, theirs uint64) error {
	raw, err := fetch(ctx, store, chunks)
	if err != nil {
		return unreadable("the journal in the store", err)
	}
	l, err := parse(raw)
	if err != nil {
		return unreadable("the journal in the store", err)
	}
	n := 1
	for l.HashOf(n) != "" && l.HashOf(n) == j.log.HashOf(n) {
		n++
	}
	return &Error{
		Op:  "compare the journal in " + j.dir + " with the one in the store",
		Err: fmt.Errorf("they differ from record %d on (%d records here, %d there): two machines have each gone on alone, or one of them was edited: %w", n, j.written, theirs, ErrDiverged),
		Hint: "nothing was ever changed in the name of a record that the store has not: if the store's is the right one (`crossfade audit` shows both), move the " +
			"state directory away and run again: everything is fetched from there",
	}
}

// takeIn adds lines of the store's journal to the one here, each checked.
func (j *Journal) takeIn(lines []byte) error {
	log, rest := j.log, lines
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, '\n')
		rec, hash, err := decode(log.Head, rest[:end])
		if err == nil {
			err = log.accepts(rec)
		}
		if err != nil {
			return unreadable("the journal in the store", fmt.Errorf("record %d: %w", len(log.Records)+1, err))
		}
		log.add(rec, hash)
		rest = rest[end+1:]
	}
	if err := log.mayGoOn(); err != nil {
		return unreadable("the journal in the store", err)
	}
	if j.file == nil {
		f, err := j.openFile()
		if err != nil {
			return err
		}
		j.file = f
	}
	if _, err := j.file.Write(lines); err != nil {
		j.broken = j.unwritable("write to the journal", err)
		return j.broken
	}
	if err := j.file.Sync(); err != nil {
		j.broken = j.unwritable("flush the journal", err)
		return j.broken
	}
	j.written = uint64(len(log.Records))
	return nil
}

// hashOf is the hash that a line says it has; where it follows from is checked elsewhere.
func hashOf(raw []byte) (string, error) {
	var l line
	if err := json.Unmarshal(raw, &l); err != nil {
		return "", fmt.Errorf("a line of it is not a record: %w: %w", ErrBroken, err)
	}
	return l.Hash, nil
}

// linesFrom returns the lines of a journal behind its first n.
func linesFrom(path string, n uint64) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	for ; n > 0; n-- {
		raw = raw[bytes.IndexByte(raw, '\n')+1:]
	}
	return raw, nil
}

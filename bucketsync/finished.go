package bucketsync

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// A pass over a large bucket takes hours, and a run that is killed in it should not list again what it has been through. So a pass
// keeps, beside the manifest, which ranges of keys it has finished:
//
//	walk ── a stretch of one span, all of it the same or copied ──> a line of PATH.finished ──> the next run leaves it out
//
// A stretch in which something failed, conflicts, is to be deleted or is only at the destination is never among them: what is deleted was
// found by a listing of the run that deletes it (I4). What a run leaves out, it does not see change. So the file counts for a
// day, for the same choice of keys, and for one pass: it goes when a pass has come to its end, and a final sync makes a
// whole pass after it (B6). Where a stretch ends, both stores must still show the key that came next, as where spans meet (B1).
const (
	// stretchKeys is how many keys a stretch has at least: what a kill costs is the listing of some stretches.
	stretchKeys = 10_000
	// finishedFor is how long a finished range counts as that.
	finishedFor = 24 * time.Hour
)

// finishedHeader is the first line.
type finishedHeader struct {
	Format int       `json:"format"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	Choice string    `json:"choice"`
	Began  time.Time `json:"began"`
}

const finishedFormat = 1

// stretch is a finished range: keys behind After, up to and with Upto. Texts are bytes, since keys need not be UTF-8.
type stretch struct {
	After []byte `json:"after"`
	Upto  []byte `json:"upto"`
	// Span is where its span began: within one, stretches follow each other without a gap.
	Span []byte `json:"span"`
	// Source and Destination are the keys that come next, or null where none does.
	Source      []byte `json:"source"`
	Destination []byte `json:"destination"`
	Held        int64  `json:"held"`
	Keys        int64  `json:"keys"`
}

// finished are the ranges that a pass has finished.
type finished struct {
	path   string // empty keeps nothing
	header finishedHeader

	mu   sync.Mutex
	file *os.File
}

// finishedOf is where the ranges of a sync with these options are kept.
func (e *engine) finishedOf() *finished {
	o := e.opts
	choice, err := json.Marshal([]any{o.Prefix, o.Range, o.Filter, o.Conflict, o.Delete, o.DeleteForeign, o.back})
	if err != nil || o.Manifest == "" {
		return &finished{}
	}
	return &finished{path: finishedPath(o.Manifest), header: finishedHeader{
		Format: finishedFormat, From: e.fromCaps.URL, To: e.toCaps.URL, Choice: string(choice), Began: o.Clock.Now().UTC(),
	}}
}

func finishedPath(manifest string) string { return manifest + ".finished" }

// load reads what an earlier run has finished, with neighbours as one. It changes nothing. What cannot be read, or is of another choice
// or too old, counts as nothing: those ranges are listed again.
func (f *finished) load() []stretch {
	if f.path == "" {
		return nil
	}
	raw, err := os.ReadFile(f.path)
	if err != nil {
		return nil
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	var header finishedHeader
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &header) != nil {
		return nil
	}
	began := header.Began
	header.Began = f.header.Began
	if age := f.header.Began.Sub(began); header != f.header || age < 0 || age > finishedFor {
		return nil
	}
	f.header.Began = began
	var all []stretch
	for lines.Scan() {
		var s stretch
		if json.Unmarshal(lines.Bytes(), &s) != nil {
			break // what a kill left of the last line
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b stretch) int { return bytes.Compare(a.After, b.After) })
	var joined []stretch
	for _, s := range all {
		last := len(joined) - 1
		switch {
		case bytes.Compare(s.Upto, s.After) <= 0 || last >= 0 && bytes.Compare(s.After, joined[last].Upto) < 0:
			return nil // two runs wrote it, or none did
		case last >= 0 && bytes.Equal(s.After, joined[last].Upto) && bytes.Equal(s.Span, joined[last].Span):
			s.After, s.Held, s.Keys = joined[last].After, s.Held+joined[last].Held, s.Keys+joined[last].Keys
			joined[last] = s
		default:
			joined = append(joined, s)
		}
	}
	return joined
}

// add keeps a finished stretch. What was copied in it is in the manifest's log already.
func (f *finished) add(s stretch) error {
	if f.path == "" {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return ownFile(fmt.Errorf("keep what is finished: %w", err))
		}
		f.file = file
		if info, err := file.Stat(); err != nil || info.Size() == 0 {
			if err := errors.Join(err, f.write(f.header)); err != nil {
				return err
			}
		}
	}
	return f.write(s)
}

func (f *finished) write(v any) error {
	raw, err := json.Marshal(v)
	if err == nil {
		_, err = f.file.Write(append(raw, '\n'))
	}
	if err != nil {
		return ownFile(fmt.Errorf("keep what is finished: %w", err))
	}
	return nil
}

// close leaves the file for the next run; over removes it.
func (f *finished) close(over bool) error {
	var err error
	if f.file != nil {
		err = f.file.Close()
		f.file = nil
	}
	if over && f.path != "" {
		if rerr := os.Remove(f.path); !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	if err != nil {
		return ownFile(fmt.Errorf("keep what is finished: %w", err))
	}
	return nil
}

// resume gives what an earlier run has finished and what both stores still show to be so. Where nothing is, what is left of the file
// says nothing and is written anew by the next pass.
func (e *engine) resume(ctx context.Context, f *finished) ([]stretch, error) {
	var kept []stretch
	for _, s := range f.load() {
		holds, err := e.holds(ctx, s)
		if err != nil {
			return nil, err
		}
		if holds {
			kept = append(kept, s)
		}
	}
	return kept, nil
}

// holds asks both stores whether a stretch may still be believed: the source shows the key that came next, and the destination holds
// something of what was copied there, and behind it no later key than the one that came next, since copies may lie before that now.
func (e *engine) holds(ctx context.Context, s stretch) (bool, error) {
	opts := bucket.ListOptions{Prefix: e.opts.Prefix, After: string(s.Upto), Before: e.opts.Range.Before}
	key, found, err := first(ctx, e.from, opts)
	if err != nil {
		return false, fmt.Errorf("list the source: %w", err)
	}
	if found != (s.Source != nil) || key != string(s.Source) {
		return false, nil
	}
	key, found, err = first(ctx, e.to, opts)
	if err == nil && s.Destination != nil && (!found || key > string(s.Destination)) {
		return false, nil
	}
	if err == nil {
		opts.After = string(s.After)
		key, found, err = first(ctx, e.to, opts)
	}
	if err != nil {
		return false, fmt.Errorf("list the destination: %w", err)
	}
	return found && key <= string(s.Upto), nil
}

// gaps are the spans between what is finished.
func gaps(opts bucket.ListOptions, done []stretch, bound string) (spans []*span) {
	after := opts.After
	for _, s := range done {
		if begin := string(s.After); begin > after {
			limit := begin + "\x00"
			spans = append(spans, &span{after: after, limit: limit, bound: limit, cut: true, border: begin})
		}
		after = string(s.Upto)
	}
	return append(spans, &span{after: after, limit: opts.Before, bound: cmp.Or(opts.Before, bound)})
}

// tracker follows one span of a pass and tells the stretches that are finished.
type tracker struct {
	to    *finished
	least int64 // keys of a stretch

	mu     sync.Mutex
	now    *tracked
	failed error
}

// tracked is a stretch under way.
type tracked struct {
	stretch
	pending int  // copies that have not ended
	whole   bool // its end is known
	unfit   bool // something in it is to be looked at again
}

func newTracker(to *finished, after string, least int64) *tracker {
	return &tracker{to: to, least: least, now: &tracked{stretch: stretch{After: []byte(after), Span: []byte(after)}}}
}

// visit counts a pair. Where it is to be copied, ended is to be told how that ended.
func (t *tracker) visit(p pair, v verdict) (ended func(error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.now
	s.Keys++
	if p.dst != nil {
		s.Held++
	}
	switch v {
	case same:
		return nil
	case copyNew, copyOver:
	case unsure, conflict, extraOwn, extraForeign, gone, left, noObject:
		s.unfit = true
		return nil
	}
	s.pending++
	return func(err error) {
		t.mu.Lock()
		defer t.mu.Unlock()
		s.pending--
		s.unfit = s.unfit || err != nil
		t.keep(s)
	}
}

// turned ends a stretch that is long enough, where both streams know what comes next.
func (t *tracker) turned(m *merger) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.now
	if s.Keys < t.least || m.src.err != nil || m.dst.err != nil {
		return
	}
	s.Upto, s.whole = []byte(m.last), true
	if m.src.ok {
		s.Source = []byte(m.src.key)
	}
	if m.dst.ok {
		s.Destination = []byte(m.dst.key)
	}
	t.now = &tracked{stretch: stretch{After: s.Upto, Span: s.Span}}
	t.keep(s)
}

// keep is called with the lock held.
func (t *tracker) keep(s *tracked) {
	if s.whole && s.pending == 0 && !s.unfit {
		s.unfit = true // once
		t.failed = errors.Join(t.failed, t.to.add(s.stretch))
	}
}

// err says whether every stretch could be kept.
func (t *tracker) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// keysOf sums up what is finished.
func keysOf(done []stretch) (keys, held int64) {
	for _, s := range done {
		keys, held = keys+s.Keys, held+s.Held
	}
	return keys, held
}

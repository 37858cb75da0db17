package bucketsync

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/mend"
)

// State is what a Record says.
type State string

// States of records.
const (
	// StateIntent: a write was about to begin. It is on file before the write, so that after a kill what is there can be told
	// from what somebody else wrote.
	StateIntent State = "intent"
	// StateCopied: this migration wrote the destination's object.
	StateCopied State = "copied"
	// StateFound: the destination had an equal object already. It is not this migration's own.
	StateFound State = "found"
	// StateForeign: only one side had the object when both were last compared, and it was to stay so. A record of it has that
	// side's version alone.
	StateForeign State = "foreign"
	// StateForgotten: nothing under this key is this migration's any more.
	StateForgotten State = "forgotten"
)

// Evidence is how an object's content was proven equal on both sides.
type Evidence string

// Kinds of evidence.
const (
	// Acknowledged: the destination reported a digest equal to that computed while the source was read.
	Acknowledged Evidence = "acknowledged"
	// ReadBack: the destination reports no digest of the whole content, so it was read again after it was written.
	ReadBack Evidence = "read-back"
	// Digests: both stores report the same digest.
	Digests Evidence = "digests"
	// Within: one server holds both sides, copied the object from one to the other, and tells of both the same parts or checksum.
	// Of its bytes no digest may be known, since they were never here.
	Within Evidence = "within the server"
	// Read: both sides were read and hashed.
	Read Evidence = "read"
	// Recorded: the store still has the version that was proven before.
	Recorded Evidence = "recorded"
	// SizeOnly: nothing but the sizes was compared. It is no proof, and in no manifest.
	SizeOnly Evidence = "size only"
)

// Record is what a manifest has under one key.
type Record struct {
	Key   string
	State State
	// Source is the version that was read.
	Source Seen
	// Destination is the version that was written or found; in an intent, the one of this migration that is to be replaced.
	Destination Seen
	// Hash of the content with its algorithm, as bucket.Digest.String writes it, and MD5 in hexadecimal, where known.
	Hash, MD5 string
	// Properties is a fingerprint of the destination's, which were compared with the source's.
	Properties string
	Evidence   Evidence
}

// recordJSON is the form of a Record on file in format 1, which is only read any more. Keys that are not UTF-8 are kept byte for byte.
type recordJSON struct {
	Key         string   `json:"key"`
	Raw         []byte   `json:"rawKey,omitempty"`
	State       State    `json:"state"`
	Source      Seen     `json:"source,omitzero"`
	Destination Seen     `json:"destination,omitzero"`
	SHA256      string   `json:"sha256,omitempty"`
	MD5         string   `json:"md5,omitempty"`
	Properties  string   `json:"properties,omitempty"`
	Evidence    Evidence `json:"evidence,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *Record) UnmarshalJSON(raw []byte) error {
	var in recordJSON
	if err := json.Unmarshal(raw, &in); err != nil {
		return err
	}
	if err := in.State.check(); err != nil {
		return err
	}
	if len(in.Raw) > 0 {
		in.Key = string(in.Raw)
	}
	*r = Record{Key: in.Key, State: in.State, Source: in.Source, Destination: in.Destination, Hash: bucket.ParseDigest(in.SHA256).String(), MD5: in.MD5, Properties: in.Properties, Evidence: in.Evidence}
	return nil
}

// owns reports whether the object at the destination is one that this migration wrote. A nil Record owns nothing.
//
// An intent owns the version that it was to replace, and an object of exactly the intended size whose MD5, where both
// are known, is the intended one: what a killed write left.
func (r *Record) owns(dst bucket.Object) bool {
	if r == nil {
		return false
	}
	switch r.State {
	case StateCopied:
		return r.Destination.was(dst)
	case StateIntent:
		if r.Destination.is(dst) {
			return true
		}
		rel, _, _ := relate([]bucket.Digest{{Algorithm: bucket.MD5, Value: r.MD5}}, dst.Digests, false)
		return dst.Size == r.Source.Size && rel != bucket.Different
	case StateFound, StateForeign, StateForgotten:
	}
	return false
}

// manifestHeader is the first line of both files.
type manifestHeader struct {
	Format int    `json:"format"`
	From   string `json:"from"`
	To     string `json:"to"`
}

// manifest remembers what was copied: a sorted file that is only ever replaced whole, and a log of what came since.
type manifest struct {
	path   string
	dir    string // for sorting
	header manifestHeader

	mu  sync.Mutex
	log *os.File
}

// openManifest checks that the manifest, if there is one, is of these two buckets. It changes nothing.
func openManifest(path, dir string, from, to bucket.Capabilities) (*manifest, error) {
	m := &manifest{path: path, dir: dir, header: manifestHeader{Format: manifestFormat, From: from.URL, To: to.URL}}
	for _, name := range []string{m.path, m.logPath()} {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open manifest: %w", err)
		}
		header, _, err := readHeader(bufio.NewReader(f))
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF) && name == m.logPath():
			continue // a log that was killed in its first line has nothing to say
		case err != nil:
			return nil, fmt.Errorf("read manifest %s: %w", name, err)
		case header.From != m.header.From || header.To != m.header.To:
			return nil, &mend.Error{
				Op:   "open manifest " + name,
				Err:  fmt.Errorf("%w: %s to %s, not %s to %s", ErrOtherPlaces, header.From, header.To, m.header.From, m.header.To),
				Hint: "give each pair of buckets a manifest of its own: for a sync of two places, name another directory as --state",
			}
		}
	}
	return m, nil
}

func (m *manifest) logPath() string { return m.path + ".log" }

// view is what the manifest has now, sorted, the last word on each key. It stays as it is while records are added. It must be closed.
func (m *manifest) view() (*recordFile, error) {
	if _, err := os.Stat(m.logPath()); errors.Is(err, fs.ErrNotExist) {
		return openRecords(m.path)
	}
	path, err := m.folded()
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	file, err := openRecords(path)
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	file.remove = true
	return file, nil
}

// folded writes the sorted file with its log to a file for sorting.
func (m *manifest) folded() (path string, err error) {
	f, err := os.CreateTemp(m.dir, "crossfade-manifest-*")
	if err != nil {
		return "", err
	}
	err = errors.Join(m.writeAll(f, m.all()), f.Close())
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), err
}

// all merges the sorted file with the log. Forgotten records are among them.
func (m *manifest) all() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s := newSorter(m.dir, func(r Record) string { return r.Key })
		fill := func() error {
			for r, err := range readRecords(m.logPath(), true) {
				if err != nil {
					return err
				}
				if err := s.add(r); err != nil {
					return err
				}
			}
			return nil
		}
		if err := fill(); err != nil {
			yield(Record{}, errors.Join(err, s.close()))
			return
		}
		stopped := false
		for r, err := range overlay(sortedRecords(readRecords(m.path, false)), s.sorted()) {
			if !yield(r, err) {
				stopped = true
				break
			}
		}
		if err := s.close(); err != nil && !stopped {
			yield(Record{}, err)
		}
	}
}

// overlay merges two sorted sequences; of several records of one key the last of the second wins.
func overlay(base, over iter.Seq2[Record, error]) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for both, err := range together("read the manifest", base, "read the manifest's log", over) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			last := both[1]
			if last == nil {
				last = both[0]
			}
			if !yield(*last, nil) {
				return
			}
		}
	}
}

// together yields, in order, the last record of each key in either of two sorted sequences; nil where one has none. It ends
// with the first error.
func together(whatA string, a iter.Seq2[Record, error], whatB string, b iter.Seq2[Record, error]) iter.Seq2[[2]*Record, error] {
	return func(yield func([2]*Record, error) bool) {
		keyOf := func(r Record) string { return r.Key }
		curA, stopA := cursorOf(whatA, a, keyOf)
		defer stopA()
		curB, stopB := cursorOf(whatB, b, keyOf)
		defer stopB()
		for {
			if err := errors.Join(curA.err, curB.err); err != nil {
				yield([2]*Record{}, err)
				return
			}
			key, ok := lesser(curA, curB)
			if !ok || !yield([2]*Record{curA.last(key), curB.last(key)}, nil) {
				return
			}
		}
	}
}

// cursor stands at an entry of a sequence.
type cursor[T any] struct {
	op    string
	keyOf func(T) string
	next  func() (T, error, bool)
	value T
	key   string
	ok    bool
	err   error
}

func cursorOf[T any](op string, entries iter.Seq2[T, error], keyOf func(T) string) (c *cursor[T], stop func()) {
	next, stop := iter.Pull2(entries)
	c = &cursor[T]{op: op, keyOf: keyOf, next: next}
	c.advance()
	return c, stop
}

func (c *cursor[T]) advance() {
	var err error
	if c.value, err, c.ok = c.next(); err != nil {
		c.err, c.ok = fmt.Errorf("%s: %w", c.op, err), false
	}
	if c.ok {
		c.key = c.keyOf(c.value)
	}
}

// last takes all entries under a key and returns the last of them.
func (c *cursor[T]) last(key string) *T {
	var last *T
	for c.ok && c.key == key {
		v := c.value
		last = &v
		c.advance()
	}
	return last
}

// lesser is the key that comes first in two sequences.
func lesser[A, B any](a *cursor[A], b *cursor[B]) (key string, ok bool) {
	if a.ok && (!b.ok || a.key <= b.key) {
		return a.key, true
	}
	return b.key, b.ok
}

// sortedRecords holds the sorted file to its promise.
func sortedRecords(records iter.Seq2[Record, error]) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		last, begun := "", false
		for r, err := range records {
			if err == nil && begun && r.Key <= last {
				err = fmt.Errorf("%q after %q: %w", r.Key, last, errUnsorted)
			}
			last, begun = r.Key, true
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// readRecords yields the records of a file; a file that is not there has none. Where torn is set, a last line without
// its end is what a kill left and says nothing.
func readRecords(path string, torn bool) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer func() { _ = f.Close() }() // only read
		for r, err := range decodeRecords(f, torn) {
			if err != nil {
				err = fmt.Errorf("%s: %w", path, err)
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func decodeRecords(from io.Reader, torn bool) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		in := bufio.NewReaderSize(from, 1<<16)
		header, _, err := readHeader(in)
		if err != nil {
			if !torn || !errors.Is(err, io.ErrUnexpectedEOF) {
				yield(Record{}, err)
			}
			return
		}
		for page, err := range recordPages(in, header.Format, torn) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			for i := range page {
				if !yield(page[i], nil) {
					return
				}
			}
		}
	}
}

// readHeader reads the first line, which has so many bytes. io.ErrUnexpectedEOF says that the line has no end.
func readHeader(in *bufio.Reader) (h manifestHeader, size int64, err error) {
	raw, err := in.ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		return h, 0, fmt.Errorf("line 1: %w", io.ErrUnexpectedEOF)
	}
	if err != nil {
		return h, 0, err
	}
	if err := json.Unmarshal(raw, &h); err != nil {
		return h, 0, fmt.Errorf("line 1: not a manifest: %w", err)
	}
	if h.Format < formatJSON || h.Format > manifestFormat {
		return h, 0, fmt.Errorf("line 1: format %d, and this program reads up to format %d", h.Format, manifestFormat)
	}
	return h, int64(len(raw)), nil
}

// add puts a record into the log. Each line is one write: after a kill, all but the last are whole.
func (m *manifest) add(r Record) error {
	raw := appendRecord(make([]byte, 0, 512), &r)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log == nil {
		var err error
		if m.log, err = m.openLog(); err != nil {
			return ownFile(fmt.Errorf("write manifest: %w", err))
		}
	}
	if _, err := m.log.Write(raw); err != nil {
		return ownFile(fmt.Errorf("write manifest: %w", err))
	}
	return nil
}

func (m *manifest) openLog() (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(m.path), 0o700); err != nil {
		return nil, err
	}
	// compact has removed what an earlier run left, so the log is new.
	f, err := os.OpenFile(m.logPath(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(m.header)
	if err == nil {
		_, err = f.Write(append(raw, '\n'))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// compact folds the log into the sorted file. A kill at any point leaves either the old file with the log, or the new file
// with a log that says the same.
func (m *manifest) compact() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log != nil {
		if err := m.log.Close(); err != nil {
			return fmt.Errorf("close the manifest's log: %w", err)
		}
		m.log = nil
	}
	if _, err := os.Stat(m.logPath()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := m.rewrite(m.all()); err != nil {
		return ownFile(fmt.Errorf("rewrite manifest %s: %w", m.path, err))
	}
	if err := os.Remove(m.logPath()); err != nil {
		return fmt.Errorf("remove the manifest's log: %w", err)
	}
	return nil
}

// rewrite replaces the sorted file in one step. The records may come from the file itself.
func (m *manifest) rewrite(records iter.Seq2[Record, error]) error {
	f, err := os.OpenFile(m.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // what a kill left is replaced
	if err != nil {
		return err
	}
	err = m.writeAll(f, records)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), m.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func (m *manifest) writeAll(to io.Writer, records iter.Seq2[Record, error]) error {
	out := bufio.NewWriterSize(to, 1<<16)
	header, err := json.Marshal(m.header)
	if err != nil {
		return err
	}
	line := append(header, '\n')
	if _, err := out.Write(line); err != nil {
		return err
	}
	for r, err := range records {
		if err != nil {
			return err
		}
		if r.State == StateForgotten {
			continue
		}
		line = appendRecord(line[:0], &r)
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

package bucketsync

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// uploads remembers the writes in parts that are under way: in memory, and in a file beside the manifest, so that a later run
// goes on with what a killed one began (B20) and drops what nobody wants any more (B15). The file is a log of lines, each
// written at once; of an object that is done, its last line says so. It is removed when nothing is under way.
type uploads struct {
	path   string
	header manifestHeader
	// lasting says that a later run will find the file.
	lasting bool

	mu    sync.Mutex
	file  *os.File
	going map[string]*going
}

// going is one write in parts.
type going struct {
	key        string
	source     Seen   // the version that is copied
	properties string // fingerprint of those that were sent with it
	opened     time.Time
	state      bucket.UploadState
	sums       *sumsState // after the parts that were read
}

// uploadLine is a line of the file.
type uploadLine struct {
	Key        string            `json:"key"`
	Raw        []byte            `json:"rawKey,omitempty"`
	Source     Seen              `json:"source,omitzero"`
	Properties string            `json:"properties,omitempty"`
	Time       time.Time         `json:"time,omitzero"`
	Note       bucket.UploadNote `json:"note,omitzero"`
	Sums       *sumsState        `json:"sums,omitempty"`
	Over       bool              `json:"over,omitempty"`
}

// loadUploads reads what an earlier run left. It changes nothing.
func loadUploads(manifest string, header manifestHeader) (*uploads, error) {
	u := &uploads{header: header, going: map[string]*going{}}
	if manifest == "" {
		return u, nil
	}
	u.path, u.lasting = manifest+".uploads", true
	f, err := os.Open(u.path)
	if errors.Is(err, fs.ErrNotExist) {
		return u, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the list of uploads: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	if err := u.read(bufio.NewReaderSize(f, 1<<16)); err != nil {
		return nil, fmt.Errorf("read the list of uploads %s: %w", u.path, err)
	}
	return u, nil
}

func (u *uploads) read(in *bufio.Reader) error {
	header, _, err := readHeader(in)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil // killed in its first line
	case err != nil:
		return err
	case header.From != u.header.From || header.To != u.header.To:
		return fmt.Errorf("it is of %s to %s, not of %s to %s", header.From, header.To, u.header.From, u.header.To)
	}
	for number := 2; ; number++ {
		raw, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // a last line without its end is what a kill left, and says nothing
		}
		var line uploadLine
		if err == nil {
			err = json.Unmarshal(raw, &line)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if len(line.Raw) > 0 {
			line.Key = string(line.Raw)
		}
		u.fold(line)
	}
}

// fold takes a line into what is known.
func (u *uploads) fold(line uploadLine) {
	if line.Over {
		delete(u.going, line.Key)
		return
	}
	g := u.going[line.Key]
	if g == nil {
		g = &going{key: line.Key}
		u.going[line.Key] = g
	}
	if line.Note.Opens || line.Note.ID != "" {
		g.source, g.properties, g.opened, g.sums = line.Source, line.Properties, line.Time, nil
	}
	g.state.Add(line.Note)
	if line.Note.Read > 0 {
		g.sums = line.Sums
	}
}

// add puts a line on file, and then takes it in.
func (u *uploads) add(line uploadLine) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if line.Over && u.going[line.Key] == nil {
		return nil
	}
	if u.path != "" {
		if err := u.write(line); err != nil {
			return ownFile(fmt.Errorf("write the list of uploads: %w", err))
		}
	}
	u.fold(line)
	return nil
}

func (u *uploads) write(line uploadLine) error {
	if u.file == nil {
		if err := u.create(); err != nil {
			return err
		}
	}
	return appendLine(u.file, line)
}

func appendLine(to io.Writer, line uploadLine) error {
	if !utf8.ValidString(line.Key) {
		line.Key, line.Raw = "", []byte(line.Key)
	}
	raw, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = to.Write(append(raw, '\n'))
	return err
}

// create begins the file anew with what is under way: a kill leaves the old one, or the new one that says the same.
func (u *uploads) create() error {
	if err := os.MkdirAll(filepath.Dir(u.path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(u.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(u.header)
	if err == nil {
		_, err = f.Write(append(raw, '\n'))
	}
	for _, g := range u.going {
		for _, line := range g.lines() {
			if err == nil {
				err = appendLine(f, line)
			}
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), u.path)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	u.file = f
	return nil
}

// lines say again what is known of a write.
func (g *going) lines() []uploadLine {
	first := uploadLine{Key: g.key, Source: g.source, Properties: g.properties, Time: g.opened}
	s := g.state
	if first.Note = (bucket.UploadNote{Opens: true, Others: s.Others}); s.ID != "" {
		first.Note = bucket.UploadNote{ID: s.ID, PartSize: s.PartSize, Form: s.Form}
	}
	out := []uploadLine{first}
	if s.Read > 0 {
		out = append(out, uploadLine{Key: g.key, Note: bucket.UploadNote{Read: s.Read}, Sums: g.sums})
	}
	for part, tag := range s.Tags {
		out = append(out, uploadLine{Key: g.key, Note: bucket.UploadNote{Part: part, Tag: tag}})
	}
	if s.Completes {
		out = append(out, uploadLine{Key: g.key, Note: bucket.UploadNote{Completes: true, ETag: s.ETag}})
	}
	return out
}

// of is a copy of what is known of a key's write, or nil.
func (u *uploads) of(key string) *going {
	u.mu.Lock()
	defer u.mu.Unlock()
	g := u.going[key]
	if g == nil {
		return nil
	}
	out := *g
	out.state = g.state.Clone()
	return &out
}

// all are the writes that are under way, by key.
func (u *uploads) all() []*going {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := make([]*going, 0, len(u.going))
	for _, g := range u.going {
		one := *g
		one.state = g.state.Clone()
		out = append(out, &one)
	}
	slices.SortFunc(out, func(a, b *going) int { return strings.Compare(a.key, b.key) })
	return out
}

// close removes the file where nothing is under way.
func (u *uploads) close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	var err error
	if u.file != nil {
		err = u.file.Close()
		u.file = nil
	}
	if len(u.going) > 0 || u.path == "" {
		return err
	}
	for _, name := range []string{u.path, u.path + ".new"} {
		if rerr := os.Remove(name); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

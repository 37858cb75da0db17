package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Tar is a Store in a single .tar.zst file of another store. Its content is held in memory and written as one file by
// Finish, so it is for archives of objects; one with large payloads belongs in a folder.
type Tar struct {
	parent Store
	name   string

	mu    sync.Mutex
	files map[string][]byte
	dirty bool
}

// OpenTar reads the file under name in the parent store; a missing one is an empty archive.
func OpenTar(ctx context.Context, parent Store, name string) (*Tar, error) {
	t := &Tar{parent: parent, name: name, files: map[string][]byte{}}
	raw, err := parent.Get(ctx, name)
	if errors.Is(err, ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if t.files, err = unpack(raw); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return t, nil
}

// Put implements Store.
func (t *Tar) Put(_ context.Context, name string, data []byte) error {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return corrupt(name, "the name climbs out of the archive")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.files[name], t.dirty = bytes.Clone(data), true
	return nil
}

// Get implements Store.
func (t *Tar) Get(_ context.Context, name string) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	data, ok := t.files[name]
	if !ok {
		return nil, fmt.Errorf("%s in %s: %w", name, t.name, ErrNotExist)
	}
	return bytes.Clone(data), nil
}

// List implements Store.
func (t *Tar) List(_ context.Context, prefix string) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	for n := range t.files {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Settle implements Durable: nothing is written before the end, so a killed export leaves the file as it was.
func (t *Tar) Settle(context.Context) error { return nil }

// Finish implements Durable: it writes the file.
func (t *Tar) Finish(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.dirty {
		return nil
	}
	raw, err := pack(t.files)
	if err != nil {
		return fmt.Errorf("write %s: %w", t.name, err)
	}
	if err := t.parent.Put(ctx, t.name, raw); err != nil {
		return fmt.Errorf("write %s: %w", t.name, err)
	}
	// Who verifies the archive reads it from memory, so that what the parent holds is proven here.
	back, err := t.parent.Get(ctx, t.name)
	if err != nil {
		return fmt.Errorf("read %s back: %w", t.name, err)
	}
	if !bytes.Equal(back, raw) {
		return corrupt(t.name, "it does not read back as it was written")
	}
	t.dirty = false
	if d, ok := t.parent.(Durable); ok {
		return d.Finish(ctx)
	}
	return nil
}

// pack is deterministic: names in order, no times, one thread of compression.
func pack(files map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	zw, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, err
	}
	tw := tar.NewWriter(zw)
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: n, Size: int64(len(files[n])), Mode: 0o600, Format: tar.FormatPAX}
		if err := tw.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := tw.Write(files[n]); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	if err := zw.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// unpack reads a file from outside: only regular files with local names, each once, bounded in all.
func unpack(raw []byte) (map[string][]byte, error) {
	zr, err := zstd.NewReader(bytes.NewReader(raw), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20))
	if err != nil {
		return nil, corrupt("the file", "it is not zstd")
	}
	defer zr.Close()
	files := map[string][]byte{}
	left := int64(maxTar)
	tr := tar.NewReader(io.LimitReader(zr, maxTar))
	for {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, corrupt("the file", "it is not a complete .tar.zst")
		}
		_, twice := files[header.Name]
		switch {
		case header.Typeflag != tar.TypeReg:
			return nil, corrupt(header.Name, "it is not a regular file")
		case !filepath.IsLocal(filepath.FromSlash(header.Name)):
			return nil, corrupt(header.Name, "the name climbs out of the archive")
		case twice:
			return nil, corrupt(header.Name, "it stands twice")
		case header.Size > min(left, MaxIndex):
			return nil, corrupt(header.Name, "it is larger than an archive can be")
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			return nil, corrupt(header.Name, "it is not complete")
		}
		left -= int64(len(data))
		files[header.Name] = data
	}
}

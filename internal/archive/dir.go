package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Dir is a Store in a folder, which it makes. Only the owner may read what it writes.
type Dir struct {
	Path string

	mu      sync.Mutex
	pending []string
}

// syncParallel is how many files are made durable at once.
const syncParallel = 16

// local turns a name into a path below the folder, or refuses it.
func (d *Dir) local(name string) (string, error) {
	p := filepath.FromSlash(name)
	if !filepath.IsLocal(p) {
		return "", corrupt(name, "the name climbs out of the archive")
	}
	return filepath.Join(d.Path, p), nil
}

// Put implements Store: the file appears whole, under its name, or not at all.
func (d *Dir) Put(ctx context.Context, name string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := d.local(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder of %s: %w", path, err)
	}
	if err := writeWhole(path, data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending = append(d.pending, path)
	return nil
}

func writeWhole(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Get implements Store.
func (d *Dir) Get(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := d.local(name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxIndex+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && len(data) > MaxIndex {
		err = corrupt(name, "it is larger than anything in an archive")
	}
	return data, err
}

// List implements Store. A folder that does not exist is empty. Files that a killed Put left are not listed.
func (d *Dir) List(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(d.Path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !entry.Type().IsRegular() || strings.HasPrefix(entry.Name(), ".tmp-") {
			return nil
		}
		rel, err := filepath.Rel(d.Path, path)
		if err != nil {
			return err
		}
		if name := filepath.ToSlash(rel); strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", d.Path, err)
	}
	return names, nil
}

// Settle implements Durable: the files, then the folders that name them.
func (d *Dir) Settle(ctx context.Context) error {
	d.mu.Lock()
	files := d.pending
	d.pending = nil
	d.mu.Unlock()
	folders := []string{d.Path}
	for _, f := range files {
		folders = append(folders, filepath.Dir(f), filepath.Dir(filepath.Dir(f)))
	}
	slices.Sort(folders)
	if err := syncAll(ctx, files); err != nil {
		return err
	}
	return syncAll(ctx, slices.Compact(folders))
}

// Finish implements Durable.
func (d *Dir) Finish(ctx context.Context) error { return d.Settle(ctx) }

func syncAll(ctx context.Context, paths []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(syncParallel)
	for _, p := range paths {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return syncPath(p)
		})
	}
	return group.Wait()
}

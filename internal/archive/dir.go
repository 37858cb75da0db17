package archive

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// Dir is a Store in a folder, which it makes. Only the owner may read what it writes. No name and no link leads out of the
// folder, whoever made it.
type Dir struct {
	Path string

	mu      sync.Mutex
	pending []string
}

// syncParallel is how many files are made durable at once.
const syncParallel = 16

// local turns a name into a path below the folder, or refuses it.
func local(name string) (string, error) {
	p := filepath.FromSlash(name)
	if !filepath.IsLocal(p) {
		return "", corrupt(name, "the name climbs out of the archive")
	}
	return p, nil
}

// Put implements Store: the file appears whole, under its name, or not at all.
func (d *Dir) Put(ctx context.Context, name string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := local(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return fmt.Errorf("make the folder %s: %w", d.Path, err)
	}
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return fmt.Errorf("open the folder %s: %w", d.Path, err)
	}
	err = errors.Join(writeWhole(root, p, data), root.Close())
	if leadsOut(err) {
		return corrupt(name, "a link in its path leads out of the archive")
	}
	if err != nil {
		return fmt.Errorf("write %s in %s: %w", name, d.Path, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending = append(d.pending, filepath.Join(d.Path, p))
	return nil
}

// tempPrefix begins the name of a file that is not whole yet.
const tempPrefix = ".tmp-"

func writeWhole(root *os.Root, path string, data []byte) error {
	if err := root.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temp := filepath.Join(filepath.Dir(path), tempPrefix+rand.Text())
	f, err := root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = root.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, root.Remove(temp))
	}
	return nil
}

// Get implements Store.
func (d *Dir) Get(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := local(name)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s in %s: %w", name, d.Path, ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("open the folder %s: %w", d.Path, err)
	}
	data, err := readWhole(root, p)
	if err = errors.Join(err, root.Close()); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s in %s: %w", name, d.Path, ErrNotExist)
	}
	if leadsOut(err) {
		return nil, corrupt(name, "a link in its path leads out of the archive")
	}
	if err == nil && len(data) > MaxIndex {
		err = corrupt(name, "it is larger than anything in an archive")
	}
	return data, err
}

// leadsOut reports whether a path was refused by os.Root itself: all other failures of a path are the system's.
func leadsOut(err error) bool {
	var path *fs.PathError
	var system syscall.Errno
	return errors.As(err, &path) && !errors.As(path.Err, &system)
}

func readWhole(root *os.Root, path string) ([]byte, error) {
	info, err := root.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, corrupt(filepath.ToSlash(path), "it is not a regular file")
	}
	f, err := root.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxIndex+1))
	return data, errors.Join(err, f.Close())
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
		if !entry.Type().IsRegular() || strings.HasPrefix(entry.Name(), tempPrefix) {
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

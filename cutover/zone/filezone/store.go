package filezone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// retryLock is the time between two looks at a lock that another writer holds.
const retryLock = 20 * time.Millisecond

// Beside the file stand its lock, which stays, and for a moment what is to replace it.
const (
	lockSuffix = ".crossfade-lock"
	nextSuffix = ".crossfade-next"
)

func (d *Driver) read() (*file, error) {
	path, err := d.resolve()
	if err != nil {
		return nil, err
	}
	return d.readAt(path)
}

func (d *Driver) readAt(path string) (*file, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, denied(err)
	}
	return parse(string(text), d.apex)
}

// resolve follows links, so that the file is replaced and not the link.
func (d *Driver) resolve() (string, error) {
	path, err := filepath.EvalSymlinks(d.path)
	if err != nil {
		return "", denied(err)
	}
	return path, nil
}

func denied(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", zone.ErrDenied, err)
	case errors.Is(err, fs.ErrNotExist):
		return &zone.Error{Op: "open the zone file", Hint: "make the file first, with a SOA and NS records", Err: err}
	}
	return err
}

// locked runs do while no other writer of this driver changes the file.
func (d *Driver) locked(ctx context.Context, do func(path string) error) (err error) {
	path, err := d.resolve()
	if err != nil {
		return err
	}
	lock := flock.New(path + lockSuffix)
	if _, err := lock.TryLockContext(ctx, retryLock); err != nil {
		return denied(fmt.Errorf("lock the zone file: %w", err))
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	return do(path)
}

// edit reads the file under its lock, asks which sets are to be replaced, and replaces the file.
func (d *Driver) edit(ctx context.Context, decide func(f *file) ([]zone.RRset, error)) error {
	return d.locked(ctx, func(path string) error {
		f, err := d.readAt(path)
		if err != nil {
			return err
		}
		sets, err := decide(f)
		if err != nil || len(sets) == 0 {
			return err
		}
		text, err := f.replace(sets)
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return d.write(path, f.text, text)
	})
}

// write replaces the file by a new text, if it still holds the old one.
func (d *Driver) write(path, old, text string) error {
	info, err := os.Stat(path)
	if err != nil {
		return denied(err)
	}
	next := path + nextSuffix
	if err := writeFile(next, text, info); err != nil {
		return errors.Join(denied(err), os.Remove(next))
	}
	d.beforeReplacing()
	now, err := os.ReadFile(path)
	if err == nil && string(now) != old {
		err = fmt.Errorf("%w: another program has changed the file %s since it was read", zone.ErrMoved, path)
	}
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return errors.Join(denied(err), os.Remove(next))
	}
	return syncDir(filepath.Dir(path))
}

// writeFile writes a file with the mode and the owner of another, and waits until it is on disk.
func writeFile(path, text string, like fs.FileInfo) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, like.Mode().Perm())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Chmod(like.Mode().Perm()); err != nil { // one that was left behind may have another
		return err
	}
	keepOwner(f, like)
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Sync()
}

// syncDir makes a replacement last.
func syncDir(dir string) (err error) {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("%w: %w", zone.ErrUncertain, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%w: %w", zone.ErrUncertain, err)
	}
	return nil
}

// tryWriting finds out whether the file could be replaced.
func tryWriting(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return denied(err)
	}
	next := path + nextSuffix
	return errors.Join(denied(writeFile(next, "", info)), os.Remove(next))
}

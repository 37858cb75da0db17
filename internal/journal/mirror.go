package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/crossfade-project/crossfade/internal/remote"
)

// Folders of the state directory whose files are copied, and files beside them.
const (
	plansDir     = "plans"
	manifestsDir = "manifests"
	evidenceDir  = "evidence" // of the retirement certificate
	ReportsDir   = "reports"  // one report a run, each with the journal's head as it was
)

// copied is what of a state directory goes to the store beside the journal: nothing else does.
func copied(name string) bool {
	dir, base := path.Split(name)
	switch dir {
	case plansDir + "/", manifestsDir + "/", evidenceDir + "/", ReportsDir + "/":
		return isFile(base) && !strings.HasSuffix(base, ".new")
	case "":
		return strings.HasPrefix(base, "certificate.") && isFile(base)
	}
	return false
}

// changes reports whether a file that is copied may be written again or removed: plans and reports never are.
func changes(name string) bool {
	return !strings.HasPrefix(name, plansDir+"/") && !strings.HasPrefix(name, ReportsDir+"/")
}

// isFile reports whether a name is one file on every system: a store's names are outside data, and none may climb out.
func isFile(base string) bool {
	return !strings.HasPrefix(base, ".") && !strings.ContainsAny(base, `/\:`) && filepath.IsLocal(base) && !strings.ContainsFunc(base, unicode.IsControl)
}

// mirrored is a file as it was when the store last got it; without a version where only its name is known.
type mirrored struct {
	version  remote.Version
	size     int64
	modified time.Time
}

// exchange gives each side the files that only the other has. Where the store's journal was ahead, its manifests and its
// certificate replace those here: another machine has gone on.
func (r *replica) exchange(ctx context.Context, dir string, names []string, behind bool) error {
	there := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !copied(n) })
	here, err := filesIn(dir)
	if err != nil {
		return err
	}
	for _, name := range there {
		r.seen[name] = mirrored{size: -1}
		if slices.Contains(here, name) && (!changes(name) || !behind) {
			continue
		}
		if err := r.fetchFile(ctx, dir, name); err != nil {
			return err
		}
	}
	for _, name := range here {
		switch {
		case slices.Contains(there, name):
		case behind && changes(name):
			// The other machine has folded it in, taken it back, or never had it: what it says is of before.
			if err := os.Remove(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
				return fmt.Errorf("replace %s by what the store has: %w", name, err)
			}
		default:
			if err := r.send(ctx, dir, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// filesIn lists what of a state directory is copied.
func filesIn(dir string) ([]string, error) {
	var names []string
	for _, sub := range []string{"", plansDir, manifestsDir, evidenceDir, ReportsDir} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look for what is to be copied: %w", err)
		}
		for _, e := range entries {
			if name := path.Join(sub, e.Name()); e.Type().IsRegular() && copied(name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

func (r *replica) fetchFile(ctx context.Context, dir, name string) error {
	body, version, err := r.store.Get(ctx, name)
	if err != nil {
		return fmt.Errorf("fetch %s from the store: %w", name, err)
	}
	at := filepath.Join(dir, filepath.FromSlash(name))
	err = os.MkdirAll(filepath.Dir(at), 0o700)
	if err == nil {
		err = writeDurablyFrom(at, body)
	}
	if err = errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("fetch %s from the store: %w", name, err)
	}
	info, err := os.Stat(at)
	if err != nil {
		return fmt.Errorf("fetch %s from the store: %w", name, err)
	}
	r.seen[name] = mirrored{version: version, size: info.Size(), modified: info.ModTime()}
	return nil
}

// send brings one file to the store, unless it is there as it is here.
func (r *replica) send(ctx context.Context, dir, name string) error {
	at := filepath.Join(dir, filepath.FromSlash(name))
	f, err := os.Open(at)
	if err != nil {
		return fmt.Errorf("copy %s to the store: %w", name, err)
	}
	err = r.sendFile(ctx, f, name)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("copy %s to the store: %w", name, err)
	}
	return nil
}

func (r *replica) sendFile(ctx context.Context, f *os.File, name string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	last, known := r.seen[name]
	if known && last.size == info.Size() && last.modified.Equal(info.ModTime()) {
		return nil
	}
	body := io.NewSectionReader(f, 0, info.Size())
	version := last.version
	for try := 0; ; try++ {
		sent, err := r.store.Put(ctx, name, body, info.Size(), version)
		if err == nil {
			r.seen[name] = mirrored{version: sent, size: info.Size(), modified: info.ModTime()}
			return nil
		}
		if !errors.Is(err, remote.ErrConflict) || try == maxConflicts {
			return err
		}
		// It is there from an earlier run, or from a try whose answer was lost. The lease is ours: it is replaced.
		found, equal, gerr := r.compare(ctx, name, body)
		if gerr != nil {
			return errors.Join(err, gerr)
		}
		if version = found; equal {
			r.seen[name] = mirrored{version: found, size: info.Size(), modified: info.ModTime()}
			return nil
		}
	}
}

// maxConflicts is how often a file may be found written by somebody else while it is sent.
const maxConflicts = 3

// compare reports whether the store has a file as it is here.
func (r *replica) compare(ctx context.Context, name string, here io.ReadSeeker) (v remote.Version, equal bool, err error) {
	there, v, err := r.store.Get(ctx, name)
	if errors.Is(err, remote.ErrNotExist) {
		return remote.Absent, false, nil
	}
	if err != nil {
		return "", false, err
	}
	_, err = here.Seek(0, io.SeekStart)
	if err == nil {
		equal, err = sameBytes(here, there)
	}
	return v, equal, errors.Join(err, there.Close())
}

func sameBytes(a, b io.Reader) (bool, error) {
	sums := [2][]byte{}
	for i, r := range []io.Reader{a, b} {
		h := sha256.New()
		if _, err := io.Copy(h, r); err != nil {
			return false, err
		}
		sums[i] = h.Sum(nil)
	}
	return bytes.Equal(sums[0], sums[1]), nil
}

// Mirror brings to the store what has changed of the manifests, the certificate with its evidence, and the reports. Without a store there is
// nothing to do.
func (j *Journal) Mirror(ctx context.Context) error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if j.copies == nil {
		return nil
	}
	here, err := filesIn(j.dir)
	if err != nil {
		return err
	}
	// What is gone here goes first: a log without its manifest would speak of what is over.
	for name := range j.copies.seen {
		if changes(name) && !slices.Contains(here, name) {
			if err := j.copies.drop(ctx, name); err != nil {
				return fmt.Errorf("take %s out of the store: %w", name, err)
			}
		}
	}
	for _, name := range here {
		if err := j.copies.send(ctx, j.dir, name); err != nil {
			return err
		}
	}
	return nil
}

func (r *replica) drop(ctx context.Context, name string) error {
	body, version, err := r.store.Get(ctx, name)
	if errors.Is(err, remote.ErrNotExist) {
		delete(r.seen, name)
		return nil
	}
	if err != nil {
		return err
	}
	if err := errors.Join(body.Close(), r.store.Delete(ctx, name, version)); err != nil {
		return err
	}
	delete(r.seen, name)
	return nil
}

// planSaved brings a plan to the store before the record that names it.
func (j *Journal) planSaved(name string) error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if j.copies == nil {
		return nil
	}
	return j.copies.plan(name)
}

package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// maxKey is S3's limit: a path that holds it, escaped, is as long as systems take.
const maxKey = 1024

// Options choose a directory.
type Options struct {
	// Dir is its path. It need not be there yet: Make makes it.
	Dir string
	// Now is the clock that old leftovers are told by; nil is the machine's.
	Now func() time.Time
}

// Bucket is a directory as a bucket. It may be used by several goroutines and several processes.
type Bucket struct {
	dir    string
	naming naming
	// folding says that the file system may take two names for one (a and A, or two forms of ü): then every object gets
	// a sidecar, and a file without one counts only if it is spelled as its key says.
	folding bool
	now     func() time.Time

	write sync.Mutex // held with the lock file

	mu   sync.Mutex
	root *os.Root // nil until it is first needed
	// writing is held, shared, from the first write on: while nobody holds it, what lies in tempDir is of nobody who lives.
	writing *flock.Flock
}

var _ interface {
	bucket.Bucket
	bucket.Maker
	bucket.LikeMaker
	bucket.Resumer
	bucket.Hider
} = (*Bucket)(nil)

// Open returns the directory as a bucket. It changes nothing and does not ask for the directory to be there.
func Open(ctx context.Context, opts Options) (*Bucket, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open directory %s: %w", opts.Dir, err)
	}
	if opts.Dir == "" {
		return nil, errors.New("open directory: its path is empty")
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", opts.Dir, err)
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("open directory %s: it is no directory: name the one that it lies in, and choose it with --include", opts.Dir)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	folding := runtime.GOOS == "windows" || runtime.GOOS == "darwin"
	return &Bucket{dir: dir, naming: naming{windows: runtime.GOOS == "windows"}, folding: folding, now: opts.Now}, nil
}

// Describe implements bucket.Bucket.
func (b *Bucket) Describe() bucket.Capabilities {
	return bucket.Capabilities{
		Provider: "file", URL: bucket.URL{Scheme: bucket.SchemeFile, Path: b.dir}.String(), Order: bucket.ByBytes,
		MaxKeyLength: maxKey, MetadataKeys: bucket.MetadataAnyCase,
		ConditionalPut: true, ChecksMD5: true, ConditionalWrite: true, Tags: true, WebsiteRedirect: true, Expires: true,
		Modes: hasModes(), Resumes: true, KeyProblem: b.naming.problem,
		PropertyProblem: func(p bucket.Properties) string {
			_, err := newSidecar("", p, true)
			return bucket.Problem(err)
		},
	}
}

// Check implements bucket.Bucket.
func (b *Bucket) Check(context.Context) error {
	root, err := b.open()
	if err != nil {
		return b.fail("check", "", err)
	}
	dir, err := root.Open(".")
	if err != nil {
		return b.fail("check", "", err)
	}
	return b.fail("check", "", dir.Close())
}

// Make implements bucket.Maker.
func (b *Bucket) Make(context.Context) error {
	return b.fail("make", "", os.MkdirAll(b.dir, 0o755))
}

// open opens the directory itself once; everything happens below it, so that no link leads out of it.
func (b *Bucket) open() (*os.Root, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.root == nil {
		root, err := os.OpenRoot(b.dir)
		if err != nil {
			return nil, err
		}
		b.root = root
	}
	return b.root, nil
}

// fail says what failed, in the bucket's own terms; nil stays nil.
func (b *Bucket) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w: %w", bucket.ErrNotExist, err)
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w: %w", bucket.ErrDenied, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		err = fmt.Errorf("%w (make room on its file system, or raise the quota; then run the same command again)", err)
	case errors.Is(err, syscall.EROFS):
		err = fmt.Errorf("%w (mount its file system for writing, or name another directory)", err)
	}
	if key != "" {
		op += fmt.Sprintf(" %q", key)
	}
	return fmt.Errorf("%s in %s: %w", op, b.dir, err)
}

// place is where an object lies.
type place struct {
	rel  string
	info fs.FileInfo
	etag string
}

// find returns the place of an object, to which no link leads.
func (b *Bucket) find(root *os.Root, key string) (place, error) {
	at, err := b.look(root, key)
	if err != nil {
		return at, err
	}
	for dir := path.Dir(at.rel); dir != "."; dir = path.Dir(dir) {
		switch info, err := root.Lstat(dir); {
		case absent(err), err == nil && info.Mode().IsRegular():
			return place{}, bucket.ErrNotExist // it went meanwhile
		case err != nil:
			return place{}, err
		case !info.IsDir():
			return place{}, &irregularError{key: key, rel: dir, info: info}
		}
	}
	return at, nil
}

// look returns the place of an object below directories that are none but that. The plain path is looked at first: files move from there aside, never back, so
// that one that moves meanwhile is not missed.
func (b *Bucket) look(root *os.Root, key string) (place, error) {
	if problem := b.naming.problem(key); problem != "" {
		return place{}, fmt.Errorf("%w: %s", bucket.ErrNotExist, problem)
	}
	plain := b.naming.path(key)
	var first error
	for _, rel := range []string{plain, aside(plain)} {
		info, err := root.Lstat(rel)
		switch {
		case err == nil && info.Mode().IsRegular():
			tag, err := tagOf(root, rel, info)
			if err != nil {
				return place{}, err
			}
			at := place{rel, info, tag}
			if own, err := b.owns(root, key, at); err != nil || own {
				return at, err
			}
		case err == nil && !info.IsDir():
			return place{}, &irregularError{key: key, rel: rel, info: info}
		case err != nil && !absent(err) && first == nil:
			first = err
		}
	}
	if first == nil {
		first = bucket.ErrNotExist
	}
	return place{}, first
}

// owns says whether a file is really this key's, and not that of a key that the file system takes for the same.
func (b *Bucket) owns(root *os.Root, key string, at place) (bool, error) {
	if !b.folding {
		return true, nil
	}
	if beside, err := readSidecar(root, key, stampOf(at.info)); err != nil || beside != nil {
		return err == nil, err
	}
	return spelled(root, at.rel)
}

// spelled says whether the directories show a path in exactly this spelling.
func spelled(root *os.Root, rel string) (bool, error) {
	entries, err := readDir(root, path.Dir(rel))
	if err != nil {
		return false, err
	}
	for _, entry := range entries {
		if entry.Name() == path.Base(rel) {
			if dir := path.Dir(rel); dir != "." {
				return spelled(root, dir)
			}
			return true, nil
		}
	}
	return false, nil
}

// describe returns the object that a file is.
func describe(key string, at place) bucket.Object {
	return bucket.Object{Key: key, Size: at.info.Size(), ETag: at.etag, Modified: at.info.ModTime()}
}

// etag tells one content of a file from another: every write of this package makes a new file, with a later time. Other programs may
// write into a file and put its time back; when it was changed they cannot put back, where the system keeps that.
func etag(info fs.FileInfo) string {
	if at := changed(info); at != 0 {
		return fmt.Sprintf("%s%s%x", stampOf(info), bucket.ChangeMark, at)
	}
	return stampOf(info)
}

// stampOf is what of an ETag stays when a file gets another name: a sidecar is known by it, since it is written before its object has its name.
func stampOf(info fs.FileInfo) string {
	return fmt.Sprintf("%x-%x-%x", info.ModTime().UnixNano(), info.Size(), number(info))
}

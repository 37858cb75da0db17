package file

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
)

const tempDir = privateDir + "/tmp"

// Put implements bucket.Writer.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, size int64, opts bucket.PutOptions) (bucket.Object, error) {
	obj, err := b.put(ctx, key, r, size, opts)
	if err != nil {
		return bucket.Object{}, b.fail("put", key, err)
	}
	return obj, nil
}

func (b *Bucket) put(ctx context.Context, key string, r io.Reader, size int64, opts bucket.PutOptions) (obj bucket.Object, err error) {
	if problem := b.naming.problem(key); problem != "" {
		return bucket.Object{}, fmt.Errorf("%w: %s", bucket.ErrUnsupported, problem)
	}
	beside, err := newSidecar(key, opts.Properties, b.folding)
	if err != nil {
		return bucket.Object{}, err
	}
	root, err := b.open()
	if err != nil {
		return bucket.Object{}, err
	}
	if err := b.sweep(root); err != nil {
		return bucket.Object{}, err
	}
	if opts.Properties.Modes == nil && !opts.IfAbsent {
		if opts.Properties.Modes, err = b.keptClosed(root, key); err != nil {
			return bucket.Object{}, err
		}
	}
	if opts.Upload != nil && size > partSize {
		return b.putParts(ctx, root, key, r, size, beside, opts)
	}
	temp := path.Join(tempDir, rand.Text())
	sum, err := writeTemp(ctx, root, temp, r, size, while(opts.Properties.Modes))
	if err == nil {
		err = body.CheckMD5(sum, opts.MD5)
	}
	if err == nil {
		obj, err = b.commit(root, key, temp, beside, opts)
	}
	if err != nil {
		if gone := root.Remove(temp); !absent(gone) {
			err = errors.Join(err, gone)
		}
		return bucket.Object{}, err
	}
	obj.Digests = []bucket.Digest{{Algorithm: bucket.MD5, Value: hex.EncodeToString(sum)}}
	return obj, nil
}

// writeTemp writes the body to a file of its own, durably, so that no rename makes a half-written one visible.
func writeTemp(ctx context.Context, root *os.Root, temp string, r io.Reader, size int64, perm fs.FileMode) (sum []byte, err error) {
	if err := root.MkdirAll(path.Dir(temp), 0o755); err != nil {
		return nil, err
	}
	file, err := root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return nil, err
	}
	hashed := body.NewHash(body.Exact(r, size), true)
	_, err = io.Copy(file, ending{ctx.Err, hashed})
	if err == nil {
		err = file.Sync()
	}
	return hashed.Sum(), errors.Join(err, file.Close())
}

// ending is a reader that ends with a context.
type ending struct {
	ended func() error
	io.Reader
}

func (e ending) Read(p []byte) (int, error) {
	if err := e.ended(); err != nil {
		return 0, err
	}
	return e.Reader.Read(p)
}

// commit gives a file that was written its name, if the condition still holds.
func (b *Bucket) commit(root *os.Root, key, temp string, beside *sidecar, opts bucket.PutOptions) (obj bucket.Object, err error) {
	unlock, err := b.lock()
	if err != nil {
		return bucket.Object{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	old, err := b.find(root, key)
	exists := err == nil
	switch {
	case err != nil && !errors.Is(err, bucket.ErrNotExist):
		return bucket.Object{}, err
	case exists && opts.IfAbsent, opts.IfMatch.ETag != "" && (!exists || old.etag != opts.IfMatch.ETag):
		return bucket.Object{}, bucket.ErrPrecondition
	}
	target, err := b.target(root, key, old, exists, opts.Properties.Modes)
	if err != nil {
		return bucket.Object{}, err
	}
	if err := settle(root, temp, opts.Properties.Modes); err != nil {
		return bucket.Object{}, err
	}
	info, err := stamp(root, temp, old, exists)
	if err != nil {
		return bucket.Object{}, err
	}
	tag := stampOf(info)
	if opts.Upload != nil && opts.Upload.Note != nil && path.Dir(temp) == uploadDir {
		if err := opts.Upload.Note(bucket.UploadNote{Completes: true}); err != nil {
			return bucket.Object{}, err
		}
	}
	if beside != nil {
		if err := beside.write(root, temp+".json", tag, while(opts.Properties.Modes)&0o644); err != nil {
			return bucket.Object{}, err
		}
	}
	if err := root.Rename(temp, target); err != nil {
		return bucket.Object{}, errors.Join(err, forget(root, key, tag))
	}
	if exists {
		if err := errors.Join(forget(root, key, stampOf(old.info)), forgetAside(root, old.rel)); err != nil {
			return bucket.Object{}, err
		}
	}
	// Its new name is among what the ETag tells of. Another program's write since then is another object.
	if now, err := root.Lstat(target); err == nil && stampOf(now) == tag {
		info = now
	}
	return describe(key, place{target, info, etag(info)}), nil
}

// target returns the path that the object gets, with its directories made.
func (b *Bucket) target(root *os.Root, key string, old place, exists bool, modes *bucket.Modes) (string, error) {
	if exists {
		return old.rel, nil
	}
	plain := b.naming.path(key)
	if err := makeParents(root, plain, modes); err != nil {
		return "", err
	}
	info, err := root.Lstat(plain)
	switch {
	case absent(err):
		return plain, nil
	case err == nil && info.IsDir():
		return aside(plain), nil
	case err == nil:
		err = fmt.Errorf("%w: %s is in the way, which the file system takes for the same name", bucket.ErrUnsupported, plain)
	}
	return "", err
}

// makeParents makes the directories above a path. An object whose name a directory needs moves aside.
func makeParents(root *os.Root, rel string, modes *bucket.Modes) error {
	for i, c := range rel {
		if c != '/' {
			continue
		}
		dir := rel[:i]
		info, err := root.Lstat(dir)
		if err == nil && info.IsDir() {
			continue
		}
		if err == nil && !info.Mode().IsRegular() {
			return &irregularError{rel: dir, info: info}
		}
		if err == nil {
			if err := moveAside(root, dir); err != nil {
				return err
			}
		} else if !absent(err) {
			return err
		}
		if err := root.Mkdir(dir, modes.FolderMode(strings.Count(rel[i+1:], "/"))); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// stamp makes the new file's time later than the old one's, so that their ETags differ however coarse the clock is.
func stamp(root *os.Root, temp string, old place, exists bool) (fs.FileInfo, error) {
	info, err := root.Lstat(temp)
	if err != nil || !exists || info.ModTime().After(old.info.ModTime()) {
		return info, err
	}
	later := old.info.ModTime().Add(time.Nanosecond)
	if err := root.Chtimes(temp, later, later); err != nil {
		return nil, err
	}
	return root.Lstat(temp)
}

// Delete implements bucket.Writer.
func (b *Bucket) Delete(ctx context.Context, obj bucket.Object) error {
	return b.fail("delete", obj.Key, b.remove(ctx, obj))
}

func (b *Bucket) remove(ctx context.Context, obj bucket.Object) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	root, err := b.open()
	if err != nil {
		return err
	}
	unlock, err := b.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	at, err := b.find(root, obj.Key)
	if errors.Is(err, bucket.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if obj.ETag != "" && obj.ETag != at.etag {
		return bucket.ErrPrecondition
	}
	if err := root.Remove(at.rel); err != nil {
		return err
	}
	// Directories are no objects: the empty ones go, the first that is not empty stays.
	for dir := path.Dir(at.rel); dir != "." && root.Remove(dir) == nil; dir = path.Dir(dir) {
	}
	return errors.Join(forget(root, obj.Key, stampOf(at.info)), forgetAside(root, at.rel))
}

// forget removes the sidecar of what is no longer there.
func forget(root *os.Root, key, etag string) error {
	if err := root.Remove(sidecarPath(key, etag)); !absent(err) {
		return err
	}
	return nil
}

// lock keeps other writers out, in this process and in others.
func (b *Bucket) lock() (unlock func() error, err error) {
	if err := os.Mkdir(filepath.Join(b.dir, privateDir), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	b.write.Lock()
	held := flock.New(filepath.Join(b.dir, privateDir, "lock"))
	if err := held.Lock(); err != nil {
		b.write.Unlock()
		return nil, fmt.Errorf("lock: %w", err)
	}
	return func() error {
		defer b.write.Unlock()
		return held.Unlock()
	}, nil
}

// isPrivate says that a path is this package's own.
func isPrivate(rel string) bool {
	return rel == privateDir || strings.HasPrefix(rel, privateDir+"/")
}

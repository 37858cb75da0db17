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
	"time"

	"github.com/gofrs/flock"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
)

const (
	// uploadDir has the files that are being written in parts: they outlive their process.
	uploadDir = privateDir + "/uploads"
	partSize  = 8 << 20
	workers   = 2
	// oldUpload is when a file in uploadDir is taken to be wanted by nobody, oldTemp one in tempDir whose writer may live.
	oldUpload = 7 * 24 * time.Hour
	oldTemp   = 24 * time.Hour
)

// putParts writes a file part by part, and goes on with one that an earlier call began.
func (b *Bucket) putParts(ctx context.Context, root *os.Root, key string, r io.Reader, size int64, beside *sidecar, opts bucket.PutOptions) (obj bucket.Object, err error) {
	p := &parts{plan: body.NewPlan(size, partSize, int(size/partSize)+1, workers)}
	up := body.Upload{Log: opts.Upload, Send: p.send, Same: func(part body.Part, tag string) bool { return crc(part) == tag }}
	temp, err := p.begin(root, &up, while(opts.Properties.Modes))
	if err != nil {
		return bucket.Object{}, err
	}
	p.plan.Budget = opts.Budget
	hashed := body.NewHash(r, true)
	err = up.All(ctx, hashed, p.plan)
	if err == nil {
		err = body.CheckMD5(hashed.Sum(), opts.MD5)
	}
	if err == nil {
		err = p.file.Sync()
	}
	if err = errors.Join(err, p.file.Close()); err != nil {
		return bucket.Object{}, err
	}
	if obj, err = b.commit(root, key, temp, beside, opts); err != nil {
		return bucket.Object{}, err
	}
	obj.Digests = []bucket.Digest{{Algorithm: bucket.MD5, Value: hex.EncodeToString(hashed.Sum())}}
	return obj, nil
}

// parts is a file that is written in parts.
type parts struct {
	plan body.Plan
	file *os.File
}

// begin opens the file of an earlier call, with what is intact in it, or makes one.
func (p *parts) begin(root *os.Root, up *body.Upload, perm fs.FileMode) (temp string, err error) {
	state := up.Log.State
	if state.ID == "" {
		id := rand.Text()
		if err := up.Log.Note(bucket.UploadNote{ID: id, PartSize: p.plan.PartSize}); err != nil {
			return "", err
		}
		temp = path.Join(uploadDir, id)
		if err := root.MkdirAll(uploadDir, 0o755); err != nil {
			return "", err
		}
		p.file, err = root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_RDWR, perm)
		return temp, err
	}
	temp = path.Join(uploadDir, path.Base(state.ID))
	p.plan.PartSize = state.PartSize
	p.file, err = root.OpenFile(temp, os.O_RDWR, perm)
	if absent(err) && len(state.Tags) == 0 && !state.Completes {
		// It was noted, and not made any more.
		p.file, err = root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_RDWR, perm)
	}
	if absent(err) {
		return "", bucket.ErrUploadGone
	}
	if err != nil {
		return "", err
	}
	up.Have = p.intact(state)
	return temp, nil
}

// intact are the parts that were written and are still in the file: after a loss of power they may not be.
func (p *parts) intact(state bucket.UploadState) map[int]string {
	have := map[int]string{}
	buffer := make([]byte, p.plan.PartSize)
	for number := range state.Tags {
		part := body.Part{Number: number, Data: buffer[:p.plan.Length(number)]}
		if _, err := p.file.ReadAt(part.Data, int64(number-1)*p.plan.PartSize); err == nil {
			have[number] = crc(part)
		}
	}
	return have
}

func (p *parts) send(ctx context.Context, part body.Part) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	_, err := p.file.WriteAt(part.Data, int64(part.Number-1)*p.plan.PartSize)
	return crc(part), err
}

func crc(part body.Part) string { return hex.EncodeToString(part.CRC64NVME()) }

// Abort implements bucket.Resumer.
func (b *Bucket) Abort(_ context.Context, key, id string) error {
	root, err := b.open()
	if err == nil {
		err = root.Remove(path.Join(uploadDir, path.Base(id)))
	}
	if absent(err) {
		return nil
	}
	return b.fail("abort", key, err)
}

// Unfinished implements bucket.Resumer: uploads get their names here, before they begin.
func (b *Bucket) Unfinished(context.Context, string) ([]bucket.Unfinished, error) { return nil, nil }

// sweep removes, once, what writes that were killed left (B15), and shows from then on that this process writes.
func (b *Bucket) sweep(root *os.Root) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.writing != nil {
		return nil
	}
	if err := os.Mkdir(filepath.Join(b.dir, privateDir), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	writing := flock.New(filepath.Join(b.dir, privateDir, "writing"))
	alone, err := writing.TryLock()
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	age := oldTemp
	if alone {
		age = 0
	}
	err = errors.Join(b.removeOld(root, tempDir, age), b.removeOld(root, uploadDir, oldUpload), writing.Unlock())
	if err == nil {
		err = writing.RLock()
	}
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	b.writing = writing
	return nil
}

// removeOld removes the files of a directory that were last written that long ago.
func (b *Bucket) removeOld(root *os.Root, dir string, age time.Duration) error {
	entries, err := readDir(root, dir)
	if err != nil && !absent(err) {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || age > 0 && b.now().Sub(info.ModTime()) < age {
			continue // it is gone, or may be of a write that goes on
		}
		if err := root.Remove(path.Join(dir, entry.Name())); err != nil && !absent(err) {
			return err
		}
	}
	return nil
}

package crossfade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/mend"
)

// singleFile is the ending of an archive that is one file.
const singleFile = ".tar.zst"

// archiveOptions say to whom Secrets are encrypted and who reads. Without recipients, the identity's own are taken.
func (m *Migration) archiveOptions(ctx context.Context) (archive.Options, error) {
	opts := archive.Options{Recipients: m.file.Archive.Recipients}
	if m.file.Archive.Identity == nil {
		return opts, nil
	}
	text, err := m.secret(ctx, m.file.Archive.Identity, "archive.identity")
	if err != nil {
		return opts, err
	}
	identities, own, err := archive.ParseIdentity(text)
	if err != nil {
		return opts, fmt.Errorf("archive.identity: %w", err)
	}
	opts.Identities = identities
	if len(opts.Recipients) == 0 {
		opts.Recipients = own
	}
	return opts, nil
}

// archiveStore opens the place of the archive: a folder, a file, or a part of a bucket.
func (m *Migration) archiveStore(ctx context.Context) (archive.Store, error) {
	u, err := bucket.ParseURL(m.file.Archive.URL)
	if err != nil {
		return nil, fmt.Errorf("archive.url: %w", err)
	}
	if u.Scheme == bucket.SchemeFile {
		at := m.file.Resolve(u.Path)
		if strings.HasSuffix(at, singleFile) {
			return openTar(ctx, &archive.Dir{Path: filepath.Dir(at)}, filepath.Base(at))
		}
		return &archive.Dir{Path: at}, nil
	}
	b, err := m.archiveBucket(ctx, u)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(u.Prefix, singleFile) {
		dir, name := path.Split(u.Prefix)
		return openTar(ctx, &bucketStore{b: b, prefix: dir}, name)
	}
	prefix := u.Prefix
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return &bucketStore{b: b, prefix: prefix}, nil
}

// archiveBucket opens the bucket in a part of which the archive is.
func (m *Migration) archiveBucket(ctx context.Context, u bucket.URL) (bucket.Bucket, error) {
	if m.file.Archive.Store == "" {
		return nil, fmt.Errorf("archive.store: name the entry of stores that holds the credentials for %s", m.file.Archive.URL)
	}
	s, err := m.store(ctx, m.file.Archive.Store)
	if err != nil {
		return nil, err
	}
	s.Bucket = u.Bucket
	b, err := m.openBucket(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("open the archive's bucket: %w", err)
	}
	return b, nil
}

func openTar(ctx context.Context, parent archive.Store, name string) (archive.Store, error) {
	t, err := archive.OpenTar(ctx, parent, name)
	if errors.Is(err, archive.ErrCorrupt) {
		return nil, &mend.Error{Op: "open the archive", Hint: exportAgain, Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("open the archive: %w", err)
	}
	return t, nil
}

// openArchive opens the newest revision for reading.
func (m *Migration) openArchive(ctx context.Context) (*archive.Reader, error) {
	store, err := m.archiveStore(ctx)
	if err != nil {
		return nil, err
	}
	opts, err := m.archiveOptions(ctx)
	if err != nil {
		return nil, err
	}
	r, err := archive.Open(ctx, store, opts)
	if err != nil {
		failure := &mend.Error{Op: "open the archive at " + m.file.Archive.URL, Err: err}
		switch {
		case errors.Is(err, archive.ErrEmpty):
			failure.Hint = "`crossfade export` writes one"
		case errors.Is(err, archive.ErrCorrupt):
			failure.Hint = exportAgain
		}
		return nil, failure
	}
	return r, nil
}

// bucketStore keeps an archive in a part of a bucket.
type bucketStore struct {
	b      bucket.Bucket
	prefix string
}

// Put implements archive.Store.
func (s *bucketStore) Put(ctx context.Context, name string, data []byte) error {
	_, err := s.b.Put(ctx, s.prefix+name, strings.NewReader(string(data)), int64(len(data)), bucket.PutOptions{
		Properties: bucket.Properties{ContentType: "application/octet-stream"},
	})
	if err != nil {
		return fmt.Errorf("write %s to the archive: %w", name, err)
	}
	return nil
}

// Get implements archive.Store.
func (s *bucketStore) Get(ctx context.Context, name string) ([]byte, error) {
	body, obj, err := s.b.Open(ctx, s.prefix+name, bucket.ReadOptions{})
	if errors.Is(err, bucket.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, archive.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s from the archive: %w", name, err)
	}
	if obj.Size > archive.MaxIndex {
		return nil, errors.Join(fmt.Errorf("read %s from the archive: it has %d bytes, more than any part of an archive", name, obj.Size), body.Close())
	}
	raw, err := io.ReadAll(io.LimitReader(body, archive.MaxIndex+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("read %s from the archive: %w", name, err)
	}
	return raw, nil
}

// List implements archive.Store.
func (s *bucketStore) List(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	for obj, err := range s.b.List(ctx, bucket.ListOptions{Prefix: s.prefix + prefix}) {
		if err != nil {
			return nil, fmt.Errorf("list the archive: %w", err)
		}
		names = append(names, strings.TrimPrefix(obj.Key, s.prefix))
	}
	return names, nil
}

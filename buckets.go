package crossfade

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// store resolves one end of a bucket: the store's coordinates with its credentials.
func (m *Migration) store(ctx context.Context, name string) (Store, error) {
	s, ok := m.file.Stores[name]
	if !ok {
		return Store{}, fmt.Errorf("no store of %s is called %s", m.file.Path, name)
	}
	access, err := m.secret(ctx, s.AccessKey, "stores."+name+".accessKey")
	if err != nil {
		return Store{}, err
	}
	key, err := m.secret(ctx, s.SecretKey, "stores."+name+".secretKey")
	if err != nil {
		return Store{}, err
	}
	return Store{Provider: s.Provider, Endpoint: s.Endpoint, Region: s.Region, Account: s.Account, Project: s.Project, AccessKey: access, SecretKey: key, Anonymous: s.Anonymous}, nil
}

// bucketAt opens one end of a bucket, once.
func (m *Migration) bucketAt(ctx context.Context, end migration.BucketEnd) (bucket.Bucket, error) {
	key := end.Store + "/" + end.Bucket + "/" + end.Prefix
	m.mu.Lock()
	b, ok := m.buckets[key]
	m.mu.Unlock()
	if ok {
		return b, nil
	}
	s, err := m.store(ctx, end.Store)
	if err != nil {
		return nil, err
	}
	s.Bucket, s.Prefix = end.Bucket, end.Prefix
	if s.Provider == "file" {
		s.Bucket = m.file.Resolve(end.Bucket) // as all paths of the file, it starts at the file
	}
	b, err = m.openBucket(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s of store %s: %w", end.Bucket, end.Store, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.buckets[key] = b
	return b, nil
}

func (m *Migration) openBucket(ctx context.Context, s Store) (bucket.Bucket, error) {
	s.Silence = m.silence()
	if m.opts.OpenBucket == nil {
		return nil, errors.New("no drivers of object stores are wired: set Options.OpenBucket")
	}
	return m.opts.OpenBucket(ctx, s)
}

// checkBucket refuses a name that no bucket of the file has.
func (m *Migration) checkBucket(name string) error {
	names := make([]string, 0, len(m.file.Buckets))
	for _, b := range m.file.Buckets {
		if b.Name == name {
			return nil
		}
		names = append(names, b.Name)
	}
	return &UnknownError{Kind: "bucket", Name: name, Known: known(m.file.Path, names)}
}

// known lists what a file has of a kind.
func known(path string, names []string) string {
	if len(names) == 0 {
		return path + " has none"
	}
	return path + " has " + strings.Join(names, ", ")
}

// binding fills the destination's coordinates into a value of a Bind.
func binding(value string, to migration.BucketEnd, s Store) string {
	return strings.NewReplacer(
		"{{bucket}}", to.Bucket,
		"{{prefix}}", to.Prefix,
		"{{endpoint}}", s.Endpoint,
		"{{region}}", s.Region,
		"{{account}}", s.Account,
		"{{accessKey}}", s.AccessKey,
		"{{secretKey}}", s.SecretKey,
	).Replace(value)
}

package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// past is one version.
type past struct {
	stored
	marker bool
}

// remember adds a version, where versions are kept; for who holds the lock.
func (b *Bucket) remember(key string, p past) {
	if b.past != nil {
		b.past[key] = append(b.past[key], p)
	}
}

// marker makes a delete marker; for who holds the lock.
func (b *Bucket) marker(key string) past {
	b.versions++
	return past{marker: true, stored: stored{object: bucket.Object{Key: key, Version: strconv.FormatInt(b.versions, 10), Modified: b.now()}}}
}

// KeepsVersions implements bucket.Versioned.
func (b *Bucket) KeepsVersions(context.Context) (bucket.VersionKeeping, error) {
	return bucket.VersionKeeping{Enabled: b.past != nil, Markers: true}, nil
}

// ListVersions implements bucket.Versioned: it shows the bucket as it is when the listing starts.
func (b *Bucket) ListVersions(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Version, error] {
	return shown(ctx, "list versions in memory://"+b.name, func() ([]bucket.Version, error) { return b.histories(ctx, opts) })
}

func (b *Bucket) histories(ctx context.Context, opts bucket.ListOptions) ([]bucket.Version, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx, "list versions"); err != nil {
		return nil, err
	}
	all := b.past
	if all == nil {
		all = map[string][]past{}
		for key, s := range b.objects {
			all[key] = []past{{stored: s}}
		}
	}
	var found []bucket.Version
	for _, key := range slices.Sorted(maps.Keys(all)) {
		for i, p := range all[key] {
			if opts.Holds(key) {
				found = append(found, bucket.Version{Object: p.seen(false), Marker: p.marker, Latest: i == len(all[key])-1})
			}
		}
	}
	return found, nil
}

func (b *Bucket) version(ctx context.Context, op, key, id string) (stored, error) {
	if err := bucket.NeedVersion(op, "memory://"+b.name, key, id); err != nil {
		return stored{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx, op); err != nil {
		return stored{}, err
	}
	for _, p := range append(slices.Clone(b.past[key]), past{stored: b.objects[key]}) {
		if p.object.Version == id && !p.marker {
			return p.stored, nil
		}
	}
	return stored{}, fmt.Errorf("%s %s of %s in memory://%s: %w", op, id, key, b.name, bucket.ErrNotExist)
}

// HeadVersion implements bucket.Versioned.
func (b *Bucket) HeadVersion(ctx context.Context, key, id string) (bucket.Object, error) {
	s, err := b.version(ctx, "head version", key, id)
	if err != nil {
		return bucket.Object{}, err
	}
	return s.seen(true), nil
}

// OpenVersion implements bucket.Versioned.
func (b *Bucket) OpenVersion(ctx context.Context, key, id string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	s, err := b.version(ctx, "open version", key, id)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	start, length, err := opts.Range(s.object.Size)
	if err != nil {
		return nil, bucket.Object{}, fmt.Errorf("open version %s of %s in memory://%s: %w", id, key, b.name, err)
	}
	return &reading{ctx.Err, bytes.NewReader(s.data[start : start+length])}, s.seen(false), nil
}

// Mark implements bucket.Versioned.
func (b *Bucket) Mark(ctx context.Context, key string) (bucket.Version, error) {
	if b.past == nil {
		return bucket.Version{}, fmt.Errorf("mark %s as deleted in memory://%s: %w", key, b.name, errors.New("it keeps no versions"))
	}
	if err := b.Delete(ctx, bucket.Object{Key: key}); err != nil {
		return bucket.Version{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	of := b.past[key]
	return bucket.Version{Object: of[len(of)-1].seen(false), Marker: true, Latest: true}, nil
}

// DeleteVersion implements bucket.Versioned.
func (b *Bucket) DeleteVersion(ctx context.Context, key, id string) error {
	if err := bucket.NeedVersion("delete version", "memory://"+b.name, key, id); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx, "delete version of "+key); err != nil {
		return err
	}
	for i, p := range b.past[key] {
		if p.object.Version != id {
			continue
		}
		if err := b.locked(p.stored, bucket.Lock{}, true); err != nil {
			return fmt.Errorf("delete version %s of %s in memory://%s: %w", id, key, b.name, err)
		}
		b.past[key] = slices.Delete(b.past[key], i, i+1)
		break
	}
	delete(b.objects, key)
	if of := b.past[key]; len(of) == 0 {
		delete(b.past, key)
	} else if last := of[len(of)-1]; !last.marker {
		b.objects[key] = last.stored
	}
	return nil
}

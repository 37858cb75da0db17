package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/remote"
)

// stateStore opens the store that keeps a copy of the state, once; nil where the file names none. It asks nothing of it.
func (m *Migration) stateStore(ctx context.Context) (remote.Store, error) {
	if m.file.State == nil || m.file.State.URL == "" {
		return nil, nil
	}
	m.mu.Lock()
	opened := m.stateAt
	m.mu.Unlock()
	if opened != nil {
		return opened, nil
	}
	b, err := m.stateBucket(ctx, m.file.State)
	if err != nil {
		return nil, fmt.Errorf("open the state store: %w", err)
	}
	store := remote.Patient(&stateBucket{b: b}, remote.Options{Where: m.file.State.URL, Clock: m.opts.Clock, Log: m.opts.Log})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stateAt = store
	return store, nil
}

// stateBucket opens the part of a bucket, or the folder, that state.url names.
func (m *Migration) stateBucket(ctx context.Context, s *migration.State) (bucket.Bucket, error) {
	u, err := bucket.ParseURL(s.URL)
	if err != nil {
		return nil, fmt.Errorf("state.url: %w", err)
	}
	if u.Scheme == bucket.SchemeFile {
		return m.openBucket(ctx, Store{Provider: "file", Bucket: m.file.Resolve(u.Path)})
	}
	at, err := m.store(ctx, s.Store)
	if err != nil {
		return nil, err
	}
	at.Bucket, at.Prefix = u.Bucket, u.Prefix
	if at.Prefix != "" && !strings.HasSuffix(at.Prefix, "/") {
		at.Prefix += "/"
	}
	return m.openBucket(ctx, at)
}

// checkState refuses a state store that cannot serve, before anything else is asked of it. A folder that is not there is fine, and
// is made where that is wanted.
func (m *Migration) checkState(ctx context.Context, mayMake bool) error {
	if m.file.State == nil || m.file.State.URL == "" {
		return nil
	}
	refuse := func(why, mend string) error {
		return &RefusedError{Stage: "migration " + m.file.Name, Refusals: []plan.Refusal{{What: "state store", Why: why, Mend: mend}}}
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	b, err := m.stateBucket(ctx, m.file.State)
	if err != nil {
		return refuse(err.Error(), "correct state.url, and stores."+m.file.State.Store)
	}
	err = b.Check(ctx)
	if maker, ok := b.(bucket.Maker); ok && errors.Is(err, bucket.ErrNotExist) && b.Describe().Provider == "file" {
		if err = nil; mayMake {
			err = maker.Make(ctx)
		}
	}
	caps := b.Describe()
	switch {
	case err == nil && caps.ConditionalPut && caps.ConditionalWrite:
		return nil
	case err == nil:
		return refuse(m.file.State.URL+" cannot write on a condition, so that two machines could overwrite one another", "name another store as state.url")
	case errors.Is(err, bucket.ErrNotExist):
		return refuse(m.file.State.URL+" does not exist", "make the bucket, or correct state.url")
	case ctx.Err() != nil:
		return refuse(fmt.Sprintf("%s did not answer within %s: %v", m.file.State.URL, lookTime, err), "check its endpoint, and what lies between here and there")
	}
	return refuse(err.Error(), "check the endpoint and the keys of stores."+m.file.State.Store+": they must allow to list, read, write and delete there")
}

// stateBucket is a remote.Store in a bucket.
type stateBucket struct{ b bucket.Bucket }

// versionOf keeps of an object what the condition of a write needs.
func versionOf(obj bucket.Object) (remote.Version, error) {
	raw, err := json.Marshal(bucket.Object{Size: obj.Size, ETag: obj.ETag, Version: obj.Version, Modified: obj.Modified})
	return remote.Version(raw), err
}

func seenAs(name string, v remote.Version) (bucket.Object, error) {
	var obj bucket.Object
	if err := json.Unmarshal([]byte(v), &obj); err != nil {
		return obj, fmt.Errorf("read the version of %s: %w", name, err)
	}
	obj.Key = name
	return obj, nil
}

// Put implements remote.Writer.
func (s *stateBucket) Put(ctx context.Context, name string, body io.ReadSeeker, size int64, seen remote.Version) (remote.Version, error) {
	opts := bucket.PutOptions{Properties: bucket.Properties{ContentType: "application/json"}, IfAbsent: seen == remote.Absent}
	if !opts.IfAbsent {
		var err error
		if opts.IfMatch, err = seenAs(name, seen); err != nil {
			return "", err
		}
	}
	obj, err := s.b.Put(ctx, name, body, size, opts)
	if err != nil {
		return "", stateError(err)
	}
	return versionOf(obj)
}

// Get implements remote.Reader.
func (s *stateBucket) Get(ctx context.Context, name string) (io.ReadCloser, remote.Version, error) {
	body, obj, err := s.b.Open(ctx, name, bucket.ReadOptions{})
	if err != nil {
		return nil, "", stateError(err)
	}
	v, err := versionOf(obj)
	if err != nil {
		return nil, "", errors.Join(err, body.Close())
	}
	return body, v, nil
}

// List implements remote.Reader.
func (s *stateBucket) List(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	for obj, err := range s.b.List(ctx, bucket.ListOptions{Prefix: prefix}) {
		if err != nil {
			return nil, stateError(err)
		}
		names = append(names, obj.Key)
	}
	slices.Sort(names)
	return names, nil
}

// Delete implements remote.Writer.
func (s *stateBucket) Delete(ctx context.Context, name string, seen remote.Version) error {
	obj, err := seenAs(name, seen)
	if err != nil {
		return err
	}
	return stateError(s.b.Delete(ctx, obj))
}

// stateError tells what the state's users must know apart.
func stateError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bucket.ErrNotExist):
		return fmt.Errorf("%w: %w", remote.ErrNotExist, err)
	case errors.Is(err, bucket.ErrPrecondition):
		return fmt.Errorf("%w: %w", remote.ErrConflict, err)
	case errors.Is(err, bucket.ErrDenied), errors.Is(err, bucket.ErrUnsupported):
		return fmt.Errorf("%w: %w", remote.ErrRefused, err)
	}
	return err
}

package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// Version is one version of what is under a key: an object, or a delete marker, which says that there was none from then on.
type Version struct {
	Object // Version is its id; a marker has neither size nor tag
	// Latest says that it is what a request without a version finds.
	Latest bool
	Marker bool
}

// VersionKeeping is what a bucket keeps of what is written over or deleted.
type VersionKeeping struct {
	// Enabled says that it keeps versions now.
	Enabled bool
	// Unknown says that no request tells, until something has been written: what is written then has a version or has none.
	Unknown bool
	// Markers says that a deletion is a version of its own, with its place among the others. Else a listing shows only whether
	// there is an object now: then a marker is the last of its key, and has no id.
	Markers bool
}

// Versioned is the optional ability to keep versions. ErrUnsupported says that the store has none.
type Versioned interface {
	// KeepsVersions asks whether the bucket keeps versions.
	KeepsVersions(ctx context.Context) (VersionKeeping, error)
	// ListVersions yields all versions of the range, in the order of the bytes of their keys where Capabilities.Order says so, and
	// at any rate key by key, of each key the oldest first. A bucket that keeps none yields its objects. It ends as Lister.List does (B13).
	ListVersions(ctx context.Context, opts ListOptions) iter.Seq2[Version, error]
	// HeadVersion is Head of one version, and OpenVersion is Open.
	HeadVersion(ctx context.Context, key, id string) (Object, error)
	OpenVersion(ctx context.Context, key, id string, opts ReadOptions) (io.ReadCloser, Object, error)
	// Mark deletes the current object and leaves its versions: it adds a marker, which it returns. Where no marker was
	// made, it is an error.
	Mark(ctx context.Context, key string) (Version, error)
	// DeleteVersion removes one version for good, and no other. Without an id it is an error: it never becomes a deletion of the
	// current object. Deleting what is not there is not an error.
	DeleteVersion(ctx context.Context, key, id string) error
}

// ErrNoVersion says that a version was meant and none was named.
var ErrNoVersion = errors.New("a version is named by its id, and there is none")

// AnsweredVersion refuses an answer that is about another version than the one that was asked for: content of the live object in
// the place of an old one would be copied as if it were that. An object from before versioning began has the id "null", which answers leave out.
func AnsweredVersion(op, url, key, asked, answered string) error {
	if answered == asked || answered == "" && asked == "null" {
		return nil
	}
	return Wrap(op, url, key, nil, fmt.Errorf("the answer is about version %q, and %q was asked for", answered, asked))
}

// NeedVersion refuses to go on without a version's id.
func NeedVersion(op, url, key, id string) error {
	if id == "" {
		return &Error{Op: op, URL: url, Key: key, Kind: ErrUnsupported, Err: ErrNoVersion}
	}
	return nil
}

// VersionedOf finds the ability to keep versions, also below a prefix of a bucket.
func VersionedOf(b Bucket) (Versioned, bool) {
	if s, ok := partOf(b); ok {
		inner, ok := VersionedOf(s.Bucket)
		if !ok {
			return nil, false
		}
		return &subVersions{sub: s, inner: inner}, true
	}
	versioned, ok := b.(Versioned)
	return versioned, ok
}

// OldestFirst turns a listing that gives versions key by key, of each key the newest first, into what ListVersions promises.
// Older compares two versions of a key; nil goes by their times. Those that it takes for equal stay in the order of the listing. The
// latest is always the last.
func OldestFirst(versions iter.Seq2[Version, error], older func(a, b Version) int) iter.Seq2[Version, error] {
	if older == nil {
		older = func(a, b Version) int { return a.Modified.Compare(b.Modified) }
	}
	order := func(a, b Version) int {
		switch {
		case a.Latest == b.Latest:
			return older(a, b)
		case a.Latest:
			return 1
		}
		return -1
	}
	return func(yield func(Version, error) bool) {
		var of []Version
		flush := func() bool {
			slices.Reverse(of)
			slices.SortStableFunc(of, order)
			for _, v := range of {
				if !yield(v, nil) {
					return false
				}
			}
			of = of[:0]
			return true
		}
		for v, err := range versions {
			if err != nil {
				yield(Version{}, err)
				return
			}
			if len(of) > 0 && of[0].Key != v.Key {
				if v.Key < of[0].Key {
					yield(Version{}, fmt.Errorf("the listing of versions is out of order: %q after %q", v.Key, of[0].Key))
					return
				}
				if !flush() {
					return
				}
			}
			of = append(of, v)
		}
		flush()
	}
}

// subVersions are the versions of a part of a bucket.
type subVersions struct {
	*sub
	inner Versioned
}

func (s *subVersions) KeepsVersions(ctx context.Context) (VersionKeeping, error) {
	return s.inner.KeepsVersions(ctx)
}

func (s *subVersions) ListVersions(ctx context.Context, opts ListOptions) iter.Seq2[Version, error] {
	opts = s.below(opts)
	return func(yield func(Version, error) bool) {
		for v, err := range s.inner.ListVersions(ctx, opts) {
			v.Object = s.inside(v.Object)
			if !yield(v, err) {
				return
			}
		}
	}
}

func (s *subVersions) HeadVersion(ctx context.Context, key, id string) (Object, error) {
	obj, err := s.inner.HeadVersion(ctx, s.prefix+key, id)
	return s.inside(obj), err
}

func (s *subVersions) OpenVersion(ctx context.Context, key, id string, opts ReadOptions) (io.ReadCloser, Object, error) {
	body, obj, err := s.inner.OpenVersion(ctx, s.prefix+key, id, opts)
	return body, s.inside(obj), err
}

func (s *subVersions) Mark(ctx context.Context, key string) (Version, error) {
	v, err := s.inner.Mark(ctx, s.prefix+key)
	v.Object = s.inside(v.Object)
	return v, err
}

func (s *subVersions) DeleteVersion(ctx context.Context, key, id string) error {
	return s.inner.DeleteVersion(ctx, s.prefix+key, id)
}

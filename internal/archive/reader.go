package archive

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Reader reads one revision. It is safe for concurrent use.
type Reader struct {
	store Store
	index Index
	ring  *keyring
}

// Open reads the last complete revision. A store without one gives ErrEmpty.
func Open(ctx context.Context, store Store, opts Options) (*Reader, error) {
	ring, err := newKeyring(store, opts.Identities)
	if err != nil {
		return nil, err
	}
	index, err := latest(ctx, store)
	if err != nil {
		return nil, err
	}
	return &Reader{store: store, index: index, ring: ring}, nil
}

// latest finds the highest revision. Two indexes of one revision mean two writers: neither is believed.
func latest(ctx context.Context, store Store) (Index, error) {
	names, err := store.List(ctx, "index/")
	if err != nil {
		return Index{}, fmt.Errorf("list the revisions of the archive: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !indexName.MatchString(n) })
	if len(names) == 0 {
		return Index{}, ErrEmpty
	}
	slices.Sort(names)
	last := names[len(names)-1]
	if n := len(names); n > 1 && revisionOf(names[n-2]) == revisionOf(last) {
		return Index{}, corrupt(last, "another index has the same revision: two exports wrote at the same time")
	}
	raw, err := get(ctx, store, last, MaxIndex)
	if err != nil {
		return Index{}, err
	}
	return decodeIndex(last, raw)
}

// EarlierKinds lists the kinds of objects that the revisions before this one hold.
func (r *Reader) EarlierKinds(ctx context.Context) ([]schema.GroupKind, error) {
	names, err := r.store.List(ctx, "index/")
	if err != nil {
		return nil, fmt.Errorf("list the revisions of the archive: %w", err)
	}
	var kinds []schema.GroupKind
	for _, name := range names {
		if !indexName.MatchString(name) {
			continue
		}
		raw, err := get(ctx, r.store, name, MaxIndex)
		if err != nil {
			return nil, err
		}
		index, err := decodeIndex(name, raw)
		if err != nil {
			return nil, err
		}
		if index.Revision >= r.index.Revision {
			continue
		}
		for _, e := range index.Entries {
			if gk := (schema.GroupKind{Group: e.Group, Kind: e.Kind}); !slices.Contains(kinds, gk) {
				kinds = append(kinds, gk)
			}
		}
	}
	return kinds, nil
}

func revisionOf(name string) string { return strings.SplitN(name, "-", 2)[0] }

func get(ctx context.Context, store Store, name string, limit int) ([]byte, error) {
	raw, err := store.Get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(raw) > limit {
		return nil, corrupt(name, "it is larger than such a file can be")
	}
	return raw, nil
}

// Index returns what the revision holds.
func (r *Reader) Index() Index { return r.index }

// Object returns an object of the revision after its hash was checked.
func (r *Reader) Object(ctx context.Context, e Entry) (*unstructured.Unstructured, error) {
	if err := e.check(); err != nil {
		return nil, corrupt(e.ID(), err.Error())
	}
	raw, err := r.plain(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("read %s from the archive: %w", e.ID(), err)
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(raw); err != nil {
		// The cause could quote the object, which may be a Secret.
		return nil, corrupt(e.ID(), "it is no Kubernetes object")
	}
	gvk := obj.GroupVersionKind()
	is := Entry{Group: gvk.Group, Kind: gvk.Kind, Namespace: obj.GetNamespace(), Name: obj.GetName()}
	if is.ID() != e.ID() || gvk.Version != e.Version {
		return nil, corrupt(e.ID(), fmt.Sprintf("its blob holds %s in version %s", is.ID(), gvk.Version))
	}
	return obj, nil
}

func (r *Reader) plain(ctx context.Context, e Entry) ([]byte, error) {
	if e.Encrypted {
		return r.unseal(ctx, Piece{Blob: e.Blob, Key: e.Key, Hash: e.Hash, Size: e.Size})
	}
	raw, err := get(ctx, r.store, e.Blob, MaxBlob)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	if hex.EncodeToString(sum[:]) != e.Hash || int64(len(raw)) != e.Size {
		return nil, corrupt(e.Blob, "its content does not have its hash")
	}
	return raw, nil
}

func (r *Reader) unseal(ctx context.Context, p Piece) ([]byte, error) {
	sealed, err := get(ctx, r.store, p.Blob, MaxIndex)
	if err != nil {
		return nil, err
	}
	key, err := r.ring.key(ctx, p.Key)
	if err != nil {
		return nil, err
	}
	raw, err := r.ring.open(p.Blob, sealed)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(keyedHash(key, raw)), []byte(p.Hash)) != 1 || int64(len(raw)) != p.Size {
		return nil, corrupt(p.Blob, "its content does not have its hash")
	}
	return raw, nil
}

// Payload writes the payload of an application to w; it reports false where the revision has none.
func (r *Reader) Payload(ctx context.Context, app string, w io.Writer) (bool, error) {
	i := slices.IndexFunc(r.index.Payloads, func(p Payload) bool { return p.App == app })
	if i < 0 {
		return false, nil
	}
	for _, piece := range r.index.Payloads[i].Pieces {
		raw, err := r.unseal(ctx, piece)
		if err != nil {
			return true, fmt.Errorf("read the payload of %s from the archive: %w", app, err)
		}
		if _, err := w.Write(raw); err != nil {
			return true, fmt.Errorf("pass on the payload of %s: %w", app, err)
		}
	}
	return true, nil
}

// VerifyReport is what Verify proved.
type VerifyReport struct {
	Revision int    `json:"revision"`
	Index    string `json:"index"`
	Objects  int    `json:"objects"`
	Payloads int    `json:"payloads"`
	Bytes    int64  `json:"bytes"`
	// Sealed counts encrypted blobs that are there but were not opened, since no identity was given.
	Sealed int `json:"sealed"`
	// Opened counts encrypted blobs that were decrypted and whose keyed hash was right.
	Opened int `json:"opened"`
	// Chain holds the hashes of the indexes, this revision's first: each was read, and names the one after it.
	Chain []string `json:"chain"`
}

// verifyParallel is how many blobs are read at once.
const verifyParallel = 8

// Verify reads the indexes of the revisions before, down to the first, and every blob of the revision: the hash of each, and
// that each is the object that its entry names. Encrypted ones are opened where an identity was given; without one, only
// their presence is proven, and counted as Sealed.
func (r *Reader) Verify(ctx context.Context) (VerifyReport, error) {
	report := VerifyReport{
		Revision: r.index.Revision, Index: r.index.Hash, Objects: len(r.index.Entries),
		Payloads: len(r.index.Payloads), Bytes: r.index.Bytes(),
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(verifyParallel)
	for _, e := range r.index.Entries {
		if e.Encrypted {
			continue
		}
		group.Go(func() error {
			_, err := r.Object(gctx, e)
			return err
		})
	}
	sealed := 0
	for _, check := range r.sealedChecks() {
		sealed++
		group.Go(func() error { return check(gctx) })
	}
	group.Go(func() error {
		var err error
		report.Chain, err = r.Chain(gctx)
		return err
	})
	if err := group.Wait(); err != nil {
		return VerifyReport{}, fmt.Errorf("verify revision %d: %w", r.index.Revision, err)
	}
	if report.Sealed = sealed; r.ring.canOpen() {
		report.Sealed, report.Opened = 0, sealed
	}
	return report, nil
}

// Chain reads the indexes that the revision builds on, each proven by the hash that the one after it names.
func (r *Reader) Chain(ctx context.Context) ([]string, error) {
	hashes := []string{r.index.Hash}
	for at := r.index; at.Revision > 1 || at.Previous != ""; {
		name := indexFile(at.Revision-1, at.Previous)
		raw, err := get(ctx, r.store, name, MaxIndex)
		if errors.Is(err, ErrNotExist) {
			return nil, corrupt(name, fmt.Sprintf("revision %d builds on it, and it is missing", at.Revision))
		}
		if err != nil {
			return nil, err
		}
		if at, err = decodeIndex(name, raw); err != nil {
			return nil, err
		}
		hashes = append(hashes, at.Hash)
	}
	return hashes, nil
}

// sealedChecks returns one check per encrypted blob.
func (r *Reader) sealedChecks() []func(context.Context) error {
	var checks []func(context.Context) error
	for _, e := range r.index.Entries {
		if e.Encrypted {
			checks = append(checks, func(ctx context.Context) error {
				if !r.ring.canOpen() {
					return r.present(ctx, e.Blob, e.Key)
				}
				_, err := r.Object(ctx, e)
				return err
			})
		}
	}
	for _, p := range r.index.Payloads {
		for _, piece := range p.Pieces {
			checks = append(checks, func(ctx context.Context) error {
				if !r.ring.canOpen() {
					return r.present(ctx, piece.Blob, piece.Key)
				}
				_, err := r.unseal(ctx, piece)
				return err
			})
		}
	}
	return checks
}

func (r *Reader) present(ctx context.Context, names ...string) error {
	for _, name := range names {
		raw, err := get(ctx, r.store, name, MaxIndex)
		if errors.Is(err, ErrNotExist) {
			return corrupt(name, "it is missing")
		}
		if err != nil {
			return err
		}
		if !isSealed(raw) {
			return corrupt(name, "it is not what age wrote")
		}
	}
	return nil
}

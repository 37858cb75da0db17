package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"filippo.io/age"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// pieceSize is how a payload is cut, in bytes.
const pieceSize = 8 << 20

// Options say who may read what is encrypted, and who reads now.
type Options struct {
	// Recipients are age public keys. Without them no Secret and no payload can be written.
	Recipients []string
	// Identities are age secret keys. A writer that has one keeps the archive's key, so that a Secret that did not change
	// keeps its blob; without one it makes a new key.
	Identities []string
}

// Writer writes one revision. Put and PutPayload may be called from several goroutines.
type Writer struct {
	store      Store
	base       *Index
	names      []string
	recipients []age.Recipient
	ring       *keyring

	keyOnce sync.Once
	keyName string
	key     []byte
	keyErr  error

	mu       sync.Mutex
	old      map[string]bool // the base names it and the store has something under its name
	have     map[string]bool // it is whole in the store
	entries  map[string]Entry
	payloads map[string]Payload
	written  int64
}

// OpenWriter begins a revision on top of the last complete one, or the first.
func OpenWriter(ctx context.Context, store Store, opts Options) (*Writer, error) {
	recipients, err := parseRecipients(opts.Recipients)
	if err != nil {
		return nil, err
	}
	ring, err := newKeyring(store, opts.Identities)
	if err != nil {
		return nil, err
	}
	w := &Writer{
		store: store, recipients: recipients, names: sortedCopy(opts.Recipients), ring: ring,
		old: map[string]bool{}, have: map[string]bool{}, entries: map[string]Entry{}, payloads: map[string]Payload{},
	}
	base, err := latest(ctx, store)
	switch {
	case errors.Is(err, ErrEmpty):
	case err != nil:
		return nil, err
	default:
		w.base = &base
	}
	return w, w.findBlobs(ctx)
}

// findBlobs learns which blobs need not be written again: those that the base names and the store has. Others that are there
// come from a revision that was never finished, and may not have reached the disk whole.
func (w *Writer) findBlobs(ctx context.Context) error {
	if w.base == nil {
		return nil
	}
	named := map[string]bool{}
	for _, e := range w.base.Entries {
		named[e.Blob] = true
	}
	for _, p := range w.base.Payloads {
		for _, piece := range p.Pieces {
			named[piece.Blob] = true
		}
	}
	for _, prefix := range []string{"blobs/", "secrets/"} {
		names, err := w.store.List(ctx, prefix)
		if err != nil {
			return fmt.Errorf("list %s of the archive: %w", prefix, err)
		}
		for _, n := range names {
			w.old[n] = named[n]
		}
	}
	return nil
}

// Base returns the revision that this one is made on, or nil for the first.
func (w *Writer) Base() *Index { return w.base }

// Written returns the bytes that were new to the store.
func (w *Writer) Written() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written
}

// Put writes an object and enters it into the revision. Group, version, kind, namespace and name are the object's own; of
// the given entry App, Role and Encrypted are used. Secrets are always encrypted.
func (w *Writer) Put(ctx context.Context, e Entry, obj *unstructured.Unstructured) (Entry, error) {
	gvk := obj.GroupVersionKind()
	e.Group, e.Version, e.Kind = gvk.Group, gvk.Version, gvk.Kind
	e.Namespace, e.Name = obj.GetNamespace(), obj.GetName()
	raw, err := canonical(obj)
	if err != nil {
		return Entry{}, fmt.Errorf("archive %s: %w", e.ID(), err)
	}
	if len(raw) > MaxBlob {
		return Entry{}, fmt.Errorf("archive %s: %d bytes are more than an archive holds in one object", e.ID(), len(raw))
	}
	e.Size = int64(len(raw))
	if e.Encrypted = e.Encrypted || isSecret(e); e.Encrypted {
		piece, err := w.putSealed(ctx, raw)
		if err != nil {
			return Entry{}, fmt.Errorf("archive %s: %w", e.ID(), err)
		}
		e.Blob, e.Key, e.Hash = piece.Blob, piece.Key, piece.Hash
	} else {
		sum := sha256.Sum256(raw)
		e.Hash, e.Key = hex.EncodeToString(sum[:]), ""
		e.Blob = blobName(e.Hash)
		whole := func(there []byte) bool { return bytes.Equal(there, raw) }
		if err := w.putOnce(ctx, e.Blob, whole, func() ([]byte, error) { return raw, nil }); err != nil {
			return Entry{}, fmt.Errorf("archive %s: %w", e.ID(), err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entries[e.ID()] = e
	return e, nil
}

// PutPayload reads a payload to its end and enters it into the revision, in encrypted pieces.
func (w *Writer) PutPayload(ctx context.Context, app string, r io.Reader) (Payload, error) {
	p := Payload{App: app, Pieces: []Piece{}}
	buf := make([]byte, pieceSize)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			piece, perr := w.putSealed(ctx, buf[:n])
			if perr != nil {
				return Payload{}, fmt.Errorf("archive the payload of %s: %w", app, perr)
			}
			p.Size += piece.Size
			p.Pieces = append(p.Pieces, piece)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return Payload{}, fmt.Errorf("read the payload of %s: %w", app, err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.payloads[app] = p
	return p, nil
}

func (w *Writer) putSealed(ctx context.Context, plain []byte) (Piece, error) {
	name, key, err := w.currentKey(ctx)
	if err != nil {
		return Piece{}, err
	}
	hash := keyedHash(key, plain)
	piece := Piece{Blob: secretName(hash), Key: name, Hash: hash, Size: int64(len(plain))}
	whole := func(there []byte) bool {
		if !w.ring.canOpen() {
			return isSealed(there)
		}
		opened, err := w.ring.open(piece.Blob, there)
		return err == nil && bytes.Equal(opened, plain)
	}
	err = w.putOnce(ctx, piece.Blob, whole, func() ([]byte, error) { return seal(w.recipients, plain) })
	return piece, err
}

// putOnce writes a blob that the store does not have whole: one that was damaged since an earlier revision is mended. Two
// goroutines with the same content may both write it: it is the same content.
func (w *Writer) putOnce(ctx context.Context, name string, whole func([]byte) bool, data func() ([]byte, error)) error {
	w.mu.Lock()
	old, have := w.old[name], w.have[name]
	w.mu.Unlock()
	if have {
		return nil
	}
	if old {
		there, err := w.store.Get(ctx, name)
		if err != nil && !errors.Is(err, ErrNotExist) && !errors.Is(err, ErrCorrupt) {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if err == nil && whole(there) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.have[name] = true
			return nil
		}
	}
	raw, err := data()
	if err != nil {
		return err
	}
	if err := w.store.Put(ctx, name, raw); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.have[name] = true
	w.written += int64(len(raw))
	return nil
}

// currentKey returns the key of this revision: the last one's where it can be opened and has the same readers, else a
// new one, which is in the store before anything is hashed with it.
func (w *Writer) currentKey(ctx context.Context) (string, []byte, error) {
	w.keyOnce.Do(func() { w.keyName, w.key, w.keyErr = w.chooseKey(ctx) })
	return w.keyName, w.key, w.keyErr
}

func (w *Writer) chooseKey(ctx context.Context) (string, []byte, error) {
	if len(w.recipients) == 0 {
		return "", nil, ErrNoRecipient
	}
	if name := w.lastKey(); name != "" && w.ring.canOpen() && slices.Equal(w.base.Recipients, w.names) {
		key, err := w.ring.key(ctx, name)
		lost := errors.Is(err, ErrNoIdentity) || errors.Is(err, ErrNotExist) || errors.Is(err, ErrCorrupt)
		if err == nil || !lost {
			return name, key, err
		}
	}
	name, key, err := newKey()
	if err != nil {
		return "", nil, err
	}
	sealed, err := seal(w.recipients, key)
	if err != nil {
		return "", nil, err
	}
	if err := w.store.Put(ctx, name, sealed); err != nil {
		return "", nil, fmt.Errorf("write %s: %w", name, err)
	}
	w.ring.remember(name, key)
	return name, key, nil
}

func (w *Writer) lastKey() string {
	if w.base == nil {
		return ""
	}
	for _, e := range w.base.Entries {
		if e.Key != "" {
			return e.Key
		}
	}
	for _, p := range w.base.Payloads {
		for _, piece := range p.Pieces {
			return piece.Key
		}
	}
	return ""
}

// Keep carries entries of the base over for which keep says so and that were not put again, and payloads in the same way.
func (w *Writer) Keep(keep func(Entry) bool, keepPayload func(Payload) bool) {
	if w.base == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.base.Entries {
		if _, fresh := w.entries[e.ID()]; !fresh && keep(e) {
			w.entries[e.ID()] = e
		}
	}
	for _, p := range w.base.Payloads {
		if _, fresh := w.payloads[p.App]; !fresh && keepPayload(p) {
			w.payloads[p.App] = p
		}
	}
}

// Commit makes the revision visible: all blobs are durable before the index is written. Of meta, what describes the run is
// used (migration, change, blue, tool, time, what was not read); the rest is the writer's.
func (w *Writer) Commit(ctx context.Context, meta Index) (Index, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	meta.Format, meta.Revision, meta.Previous = Format, 1, ""
	if w.base != nil {
		meta.Revision, meta.Previous = w.base.Revision+1, w.base.Hash
	}
	meta.Recipients, meta.Entries, meta.Payloads = w.names, []Entry{}, nil
	for _, e := range w.entries {
		meta.Entries = append(meta.Entries, e)
	}
	for _, p := range w.payloads {
		meta.Payloads = append(meta.Payloads, p)
	}
	raw, name, hash, err := encodeIndex(meta)
	if err != nil {
		return Index{}, err
	}
	durable, ok := w.store.(Durable)
	if ok {
		if err := durable.Settle(ctx); err != nil {
			return Index{}, fmt.Errorf("make the archive durable: %w", err)
		}
	}
	if err := w.store.Put(ctx, name, raw); err != nil {
		return Index{}, fmt.Errorf("write %s: %w", name, err)
	}
	if ok {
		if err := durable.Finish(ctx); err != nil {
			return Index{}, fmt.Errorf("make the archive durable: %w", err)
		}
	}
	meta.Hash = hash
	return meta, nil
}

// canonical returns the one JSON form of an object: keys sorted, nothing escaped that need not be.
func canonical(obj *unstructured.Unstructured) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(obj.Object); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return buf.Bytes(), nil
}

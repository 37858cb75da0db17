package lease

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/crossfade-project/crossfade/internal/remote"
)

// ObjectName is the lease's name in a state store.
const ObjectName = "lease.json"

// InStore is the lease in a state store. Where names the store for people.
func InStore(store remote.Store, where string) Place { return &inStore{store: store, where: where} }

type inStore struct {
	store remote.Store
	where string
}

func (p *inStore) String() string { return p.where + "/" + ObjectName }

func (p *inStore) Read(ctx context.Context) (Holder, Version, error) {
	raw, v, err := remote.Read(ctx, p.store, ObjectName)
	if errors.Is(err, remote.ErrNotExist) {
		return Holder{}, "", nil
	}
	if err != nil {
		return Holder{}, "", err
	}
	var h Holder
	if err := json.Unmarshal(raw, &h); err != nil {
		return h, "", fmt.Errorf("%s is not a lease: remove it, if nobody runs this migration: %w", p, err)
	}
	return h, Version(v), nil
}

func (p *inStore) Write(ctx context.Context, h Holder, seen Version) (Version, error) {
	raw, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return "", err
	}
	v, err := p.store.Put(ctx, ObjectName, bytes.NewReader(raw), int64(len(raw)), remote.Version(seen))
	return Version(v), conflict(err)
}

func (p *inStore) Remove(ctx context.Context, seen Version) error {
	return conflict(p.store.Delete(ctx, ObjectName, remote.Version(seen)))
}

func conflict(err error) error {
	if errors.Is(err, remote.ErrConflict) {
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return err
}

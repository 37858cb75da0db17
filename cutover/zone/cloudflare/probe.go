package cloudflare

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Probe implements zone.Prober. Its transaction deletes a record by an ID that nobody has: there is nothing to change,
// and the API must refuse it, since that refusal is what holds our conditions. A token without the permission to write is
// refused in another way.
func (d *Driver) Probe(ctx context.Context, name string) error {
	op := "probe the conditions for " + name
	name, err := dnsx.Canonical(name)
	if err != nil {
		return d.errorOf(op, fmt.Errorf("%w: %w", zone.ErrInvalid, err))
	}
	if _, err := zone.FenceName(name, d.apex); err != nil {
		return d.errorOf(op, err)
	}
	id, err := d.zone(ctx)
	if err != nil {
		return d.errorOf(op, err)
	}
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never returns an error
	_, err = d.api.commit(ctx, id, batch{Deletes: []record{{ID: hex.EncodeToString(raw[:])}}})
	var refused *refusal
	switch {
	case err == nil:
		return &zone.Error{
			Op: op, Hint: "do not change this zone by this driver: without conditions two writers could undo each other",
			Err: fmt.Errorf("%w: a batch that deletes a record that is not there was carried out", zone.ErrConditionsIgnored),
		}
	case errors.As(err, &refused) && refused.has(codeGone):
		return nil
	}
	return d.errorOf(op, err)
}

package zone

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

const (
	fencePrefix   = "_crossfade-"
	fenceApex     = "_crossfade_apex"
	fenceWildcard = "_crossfade_wildcard"
	fenceHash     = "_crossfade_h"
)

// FenceName computes where the fence of a name stands: beside the name, never below it, since a record below a name
// puts a node into the tree that ends a wildcard's answers there (C12, RFC 4592 section 2.2.2).
//
//	shop.apps.test.       _crossfade-shop.apps.test.
//	*.apps.test.          _crossfade_wildcard.apps.test.
//	apps.test. (apex)     _crossfade_apex.apps.test.     an apex has no sibling in its zone, and no wildcard of its own
//	a label, or a name, that is too long for the prefix
//	                      _crossfade_hHASH of the whole name, at the nearest level where it fits
//
// Different names have different fences: the four forms cannot be mistaken for one another.
func FenceName(name, apex string) (string, error) {
	name, err := dnsx.Canonical(name)
	if err != nil {
		return "", fmt.Errorf("name the fence of %s: %w: %w", name, ErrInvalid, err)
	}
	apex, err = dnsx.Canonical(apex)
	if err != nil {
		return "", fmt.Errorf("name the fence of %s: %w: %w", name, ErrInvalid, err)
	}
	if !dnsx.InZone(name, apex) {
		return "", fmt.Errorf("name the fence of %s: %w: it is not in the zone %s", name, ErrInvalid, apex)
	}
	if name == apex {
		return fenceAt(fenceApex, apex)
	}
	label, parent := dnsx.Labels(name)[0], dnsx.Parent(name)
	first := fencePrefix + label
	if label == "*" {
		first = fenceWildcard
	}
	if fence, err := fenceAt(first, parent); err == nil {
		return fence, nil
	}
	sum := sha256.Sum256([]byte(name))
	hashed := fenceHash + hex.EncodeToString(sum[:16])
	for {
		fence, err := fenceAt(hashed, parent)
		if err == nil || parent == apex {
			return fence, err
		}
		parent = dnsx.Parent(parent)
	}
}

func fenceAt(label, parent string) (string, error) {
	if parent == "." {
		parent = ""
	}
	fence, err := dnsx.Canonical(label + "." + parent)
	if err != nil {
		return "", fmt.Errorf("name a fence in %s: %w: %w", parent, ErrInvalid, err)
	}
	return fence, nil
}

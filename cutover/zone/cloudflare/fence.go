package cloudflare

import (
	"context"
	"fmt"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

const (
	// lockText is the text of the record that only one can make: identical records are refused.
	lockText = "crossfade-fence"
	// fenceTTL is short, though nobody who matters asks for a fence through a cache. Cloudflare takes no shorter one.
	fenceTTL = 60
)

// fenced is a fence as it was read: the records that hold tokens, and the one that can be there only once.
type fenced struct {
	name   string
	tokens []record
	locks  []record
}

func (d *Driver) readFenceAt(ctx context.Context, name string) (fenced, error) {
	out := fenced{name: name}
	all, err := d.at(ctx, name)
	if err != nil {
		return out, err
	}
	for _, r := range ofType(all, "TXT") {
		if isLock(r) {
			out.locks = append(out.locks, r)
		} else {
			out.tokens = append(out.tokens, r)
		}
	}
	return out, nil
}

// readFence demands that the fence hold our token.
func (d *Driver) readFence(ctx context.Context, fence zone.Fence) (fenced, error) {
	if fence.Name == "" {
		return fenced{}, nil
	}
	at, err := d.readFenceAt(ctx, fence.Name)
	if err == nil && at.text() != fence.Token {
		err = &zone.FencedError{Fence: fence, Found: at.text()}
	}
	return at, err
}

func isLock(r record) bool {
	return r.Type == "TXT" && r.data() == dnsx.TextData(lockText) && strings.HasPrefix(r.Name, "_crossfade")
}

func withoutLocks(records []record) []record {
	var out []record
	for _, r := range records {
		if !isLock(r) {
			out = append(out, r)
		}
	}
	return out
}

// text returns the text of the fence, empty where there is none.
func (f fenced) text() string {
	var tokens []string
	for _, r := range f.tokens {
		parts, err := dnsx.TextParts(r.data())
		if err != nil {
			return r.Content // nobody's token
		}
		tokens = append(tokens, strings.Join(parts, ""))
	}
	return strings.Join(tokens, " ")
}

// renew adds to a transaction what deletes the fence's token by its ID and makes a new one: a condition on the fence being
// the very one that was read.
func (f fenced) renew(b *batch, token string) {
	for _, r := range f.tokens {
		b.Deletes = append(b.Deletes, record{ID: r.ID})
	}
	b.Posts = append(b.Posts, f.record(token))
}

func (f fenced) record(text string) record {
	return record{Name: strings.TrimSuffix(f.name, "."), Type: "TXT", TTL: fenceTTL, Content: dnsx.TextData(text)}
}

// Claim implements zone.Fencer.
func (d *Driver) Claim(ctx context.Context, guarded string, fence zone.Fence, previous string) error {
	op := "claim the fence of " + guarded
	fence, err := fence.Normal(d.apex)
	if err != nil {
		return d.errorOf(op, err)
	}
	if guarded, err = dnsx.Canonical(guarded); err != nil || !dnsx.InZone(guarded, d.apex) || guarded == fence.Name {
		return d.errorOf(op, fmt.Errorf("%w: the fence %s cannot guard %q", zone.ErrInvalid, fence.Name, guarded))
	}
	if fence.Token == lockText {
		return d.errorOf(op, fmt.Errorf("%w: %s is no token", zone.ErrInvalid, lockText))
	}
	err = d.again(ctx, func(ctx context.Context) (batch, error) {
		at, err := d.readFenceAt(ctx, fence.Name)
		if err != nil {
			return batch{}, err
		}
		switch token := at.text(); {
		case token == fence.Token:
			return batch{}, nil
		case token != previous:
			return batch{}, &zone.FencedError{Fence: fence, Found: token}
		}
		if err := d.mustExist(ctx, guarded); err != nil {
			return batch{}, err
		}
		var b batch
		at.renew(&b, fence.Token)
		if len(at.tokens) == 0 {
			// There is no token whose ID could be a condition. Of two who make the lock one is refused; one that is left
			// over has an ID.
			for _, r := range at.locks {
				b.Deletes = append(b.Deletes, record{ID: r.ID})
			}
			b.Posts = append(b.Posts, at.record(lockText))
		}
		return b, nil
	})
	if err != nil {
		return d.errorOf(op, err)
	}
	return nil
}

// mustExist demands that a name have a record of its own: a fence beside one that only a wildcard answers for could put a
// level into the tree (C12).
func (d *Driver) mustExist(ctx context.Context, name string) error {
	if name == d.apex {
		return nil // it has SOA and NS, which Cloudflare does not show
	}
	all, err := d.at(ctx, name)
	if err != nil || len(all) > 0 {
		return err
	}
	return &zone.Error{
		Op: "claim the fence of " + name, Hint: "make a record of the name's own first: a fence there could end a wildcard's answers",
		Err: fmt.Errorf("%w: %s has no record of its own", zone.ErrInvalid, name),
	}
}

// Release implements zone.Fencer.
func (d *Driver) Release(ctx context.Context, fence zone.Fence) error {
	op := "release the fence " + fence.Name
	fence, err := fence.Normal(d.apex)
	if err != nil {
		return d.errorOf(op, err)
	}
	err = d.again(ctx, func(ctx context.Context) (batch, error) {
		var b batch
		at, err := d.readFenceAt(ctx, fence.Name)
		if err != nil {
			return b, err
		}
		if token := at.text(); token != "" && token != fence.Token {
			return b, &zone.FencedError{Fence: fence, Found: token}
		}
		for _, r := range append(at.tokens, at.locks...) {
			b.Deletes = append(b.Deletes, record{ID: r.ID})
		}
		return b, nil
	})
	if err != nil {
		return d.errorOf(op, err)
	}
	return nil
}

// fenceTries is how often a write of a fence is tried where others write at the same time.
const fenceTries = 20

// again sends what plan reads to be missing, until that is nothing.
func (d *Driver) again(ctx context.Context, plan func(ctx context.Context) (batch, error)) error {
	var lost error
	for range fenceTries {
		b, err := plan(ctx)
		if err != nil || b.empty() {
			return err
		}
		id, err := d.zone(ctx)
		if err != nil {
			return err
		}
		_, err = d.api.commit(ctx, id, b)
		switch {
		case err == nil || failed(err):
		case !uncertain(err):
			return err
		case lost != nil:
			return fmt.Errorf("%w: %w", zone.ErrUncertain, err)
		default:
			lost = err
		}
	}
	return fmt.Errorf("%w: others write there all the time", zone.ErrMoved)
}

package rfc2136

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

func isAlias(sets []zone.RRset) bool { return len(sets) == 1 && sets[0].Type == "CNAME" }

// newAlias says whether a CNAME takes the place of other records. Some servers take the others away and then drop the
// CNAME: Knot 3.2 in a signed zone does.
func newAlias(change zone.Change) bool {
	return isAlias(change.New) && len(change.Old) > 0 && !isAlias(change.Old)
}

// checkAlias finds out, before anything is changed, whether the change can be made.
func (d *Driver) checkAlias(ctx context.Context, change zone.Change) error {
	done, _, err := d.inspect(ctx, change)
	if err != nil || done {
		return err
	}
	if err := d.checkConflicts(ctx, change); err != nil {
		return err
	}
	return d.rehearse(ctx, change)
}

// rehearse makes the same change at a name of our own beside the real one, and refuses it where the server loses the
// name. The name of the rehearsal is taken away again, whatever happens short of a kill.
func (d *Driver) rehearse(ctx context.Context, change zone.Change) (err error) {
	name, err := dnsx.Canonical("crossfade-rehearsal-" + strings.ToLower(rand.Text()[:10]) + "." + strings.TrimPrefix(dnsx.Parent(change.Name), "."))
	if err != nil {
		return fmt.Errorf("%w: there is no room for a rehearsal beside it: %w", zone.ErrInvalid, err)
	}
	act := zone.Change{Name: name, Old: renamed(change.Old, name), New: renamed(change.New, name)}
	set := d.update()
	set.NameNotUsed(bare(name, dns.TypeANY))
	if err := insert(set, act.Old); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*d.timeout)
		defer cancel()
		err = errors.Join(err, d.unset(ctx, act))
	}()
	if err := d.send(ctx, set); err != nil {
		return fmt.Errorf("rehearse at %s: %w", name, err)
	}
	swap, err := d.swapMessage(act)
	if err != nil {
		return err
	}
	if err := d.send(ctx, swap); err != nil {
		return fmt.Errorf("rehearse at %s: %w", name, err)
	}
	found, err := d.look(ctx, name, act.Touched())
	if err != nil {
		return fmt.Errorf("rehearse at %s: %w", name, err)
	}
	if !zone.SameSets(found, act.New) {
		return &zone.Error{
			Op: "swap " + change.Name, Hint: "replace addresses by addresses: this server loses a name whose other records a CNAME is to replace",
			Err: fmt.Errorf("%w: in a rehearsal at %s the server said yes, and then the name held %s", zone.ErrInvalid, name, zone.Describe(found)),
		}
	}
	return nil
}

// unset takes a rehearsal's records away.
func (d *Driver) unset(ctx context.Context, act zone.Change) error {
	msg := d.update()
	for _, set := range append(append([]zone.RRset{}, act.Old...), act.New...) {
		rrs, err := records(set)
		if err != nil {
			return err
		}
		msg.Remove(rrs)
	}
	if err := d.send(ctx, msg); err != nil {
		return fmt.Errorf("take the rehearsal at %s away: %w", act.Name, err)
	}
	return nil
}

func renamed(sets []zone.RRset, name string) []zone.RRset {
	out := make([]zone.RRset, len(sets))
	for i, set := range sets {
		out[i] = zone.RRset{Name: name, Type: set.Type, TTL: set.TTL, Data: set.Data}
	}
	return out
}

// fill puts the new records of a change at a name that its own message has emptied: whoever asks in between gets no
// answer, so this comes before any report.
func (d *Driver) fill(ctx context.Context, change zone.Change) error {
	msg := d.update()
	for _, typ := range append(change.Conflicting(), change.Touched()...) {
		msg.RRsetNotUsed(bare(change.Name, dns.StringToType[typ]))
	}
	if err := d.requireFence(msg, change.Fence); err != nil {
		return err
	}
	if err := insert(msg, change.New); err != nil {
		return err
	}
	return d.send(ctx, msg)
}

// send sends one message and wants a yes.
func (d *Driver) send(ctx context.Context, msg *dns.Msg) error {
	reply, err := d.exchange(ctx, msg)
	if err != nil {
		return err
	}
	if reply.Rcode != dns.RcodeSuccess {
		return replyError(reply)
	}
	return nil
}

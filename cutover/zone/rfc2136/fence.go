package rfc2136

import (
	"context"
	"fmt"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

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
	if previous != "" {
		if _, err := (zone.Fence{Name: fence.Name, Token: previous}).Normal(d.apex); err != nil {
			return d.errorOf(op, err)
		}
	}
	_, err = d.commit(ctx, goal{
		done: d.fenceMoved(fence.Name, previous, fence.Token),
		message: func() (*dns.Msg, error) {
			msg := d.update()
			msg.NameUsed(bare(guarded, dns.TypeANY))
			return d.moveFence(msg, fence.Name, previous, fence.Token)
		},
		explain: func(_ context.Context, reply *ReplyError) error {
			if reply.Code == "NXDOMAIN" {
				return &zone.Error{
					Op: op, Hint: "make a record of the name's own first: a fence there could end a wildcard's answers",
					Err: fmt.Errorf("%w: %s has no record of its own, a wildcard may answer for it", zone.ErrInvalid, guarded),
				}
			}
			return reply
		},
	})
	if err != nil {
		return d.errorOf(op, err)
	}
	return nil
}

// Release implements zone.Fencer.
func (d *Driver) Release(ctx context.Context, fence zone.Fence) error {
	op := "release the fence " + fence.Name
	fence, err := fence.Normal(d.apex)
	if err != nil {
		return d.errorOf(op, err)
	}
	_, err = d.commit(ctx, goal{
		done:    d.fenceMoved(fence.Name, fence.Token, ""),
		message: func() (*dns.Msg, error) { return d.moveFence(d.update(), fence.Name, fence.Token, "") },
		explain: func(_ context.Context, reply *ReplyError) error { return reply },
	})
	if err != nil {
		return d.errorOf(op, err)
	}
	return nil
}

// fenceMoved reads whether a fence holds one token already, or still the other one. Empty means no fence.
func (d *Driver) fenceMoved(name, from, to string) func(ctx context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		found, err := d.token(ctx, name, from, to)
		switch {
		case err != nil:
			return false, err
		case found == to:
			return true, nil
		case found == from:
			return false, nil
		}
		expected := from
		if expected == "" {
			expected = to
		}
		return false, &zone.FencedError{Fence: zone.Fence{Name: name, Token: expected}, Found: found}
	}
}

// moveFence adds to a message what turns one token into another, on condition that the first one is there.
func (d *Driver) moveFence(msg *dns.Msg, name, from, to string) (*dns.Msg, error) {
	if from == "" {
		msg.RRsetNotUsed(bare(name, dns.TypeTXT))
		msg.RRsetNotUsed(bare(name, dns.TypeCNAME))
	} else {
		if err := d.requireFence(msg, zone.Fence{Name: name, Token: from}); err != nil {
			return nil, err
		}
		rrs, err := records(fenceSet(name, from))
		if err != nil {
			return nil, err
		}
		msg.Remove(rrs)
	}
	if to != "" {
		rrs, err := records(fenceSet(name, to))
		if err != nil {
			return nil, err
		}
		msg.Insert(rrs)
	}
	return msg, nil
}

func fenceSet(name, token string) zone.RRset {
	return zone.RRset{Name: name, Type: "TXT", TTL: fenceTTL, Data: []string{`"` + token + `"`}}
}

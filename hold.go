package crossfade

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/lease"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/remote"
)

// LeaseHeldError says that another machine holds the migration.
type LeaseHeldError = lease.HeldError

// LeaseLostError says that this process held the migration and does not any more.
type LeaseLostError = lease.LostError

// noteLease is kept when a lease was taken over that another machine had left.
const noteLease = "lease-taken-over"

// begin makes this process the only one that may change anything, and its journal whole. Every verb that changes something
// begins with it; what is held is given back by Close. A second call does nothing.
//
//	file lock of the state directory (Open) ── lease in the state store, or on blue ── journal equal to the store's
func (m *Migration) begin(ctx context.Context) error {
	if m.journal == nil {
		return errReadOnly
	}
	if m.begun {
		return nil
	}
	if err := m.checkState(ctx, true); err != nil {
		return err
	}
	store, err := m.stateStore(ctx)
	if err != nil {
		return err
	}
	if err := m.takeLease(ctx, store); err != nil {
		return err
	}
	if store != nil {
		got, err := m.journal.Attach(ctx, store)
		if err != nil {
			return err
		}
		if got.Fetched > 0 {
			m.opts.Log.InfoContext(ctx, "the state store was ahead: what was missing here was fetched", "records", got.Fetched, "store", m.file.State.URL)
		}
		m.journal.View(func(log *journal.Log) { err = m.owns(log) })
		if err != nil {
			return err
		}
	}
	m.begun = true
	if m.lease == nil || m.lease.Took() == nil {
		return nil
	}
	m.opts.Log.WarnContext(ctx, "a lease that had run out was taken over", "from", m.lease.Took().String())
	return m.journal.Note(noteLease, m.lease.Took())
}

// takeLease holds the lease from here on, and lets the journal ask for it before every record.
func (m *Migration) takeLease(ctx context.Context, store remote.Store) error {
	place, err := m.leasePlace(store)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find this machine's name for the lease: %w", err)
	}
	held, err := lease.Take(ctx, place, lease.Options{
		Migration: m.file.Name, State: m.journal.ID(), Actor: m.opts.Actor, Host: host, PID: os.Getpid(), Tool: m.opts.Tool,
		Clock: m.opts.Clock, Log: m.opts.Log,
	})
	if errors.Is(err, lease.ErrNoPlace) {
		// Only a retirement takes blue's namespace away; whatever else needs it says so by itself.
		m.opts.Log.WarnContext(ctx, "no lease is held: its place on blue is gone; the state directory's lock alone keeps a second run out", "because", err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	m.lease = held
	m.journal.Guard(func() error { return held.Check(context.WithoutCancel(ctx)) })
	return nil
}

// leasePlace is the state store, or blue.
func (m *Migration) leasePlace(store remote.Store) (lease.Place, error) {
	if store != nil {
		return lease.InStore(store, m.file.State.URL), nil
	}
	blue, err := m.side(Blue)
	if err != nil {
		return nil, err
	}
	return lease.InCluster(blue, m.file.Applications[0].Namespace, m.file.Name), nil
}

// lookAtState refuses what would keep begin from its work: a state store that cannot serve, or no right to a lease on blue.
func (m *Migration) lookAtState(ctx context.Context, p *plan.Plan, blueReached bool) {
	var refused *RefusedError
	if err := m.checkState(ctx, false); errors.As(err, &refused) {
		p.Refusals = append(p.Refusals, refused.Refusals...)
	}
	if m.file.State != nil && m.file.State.URL != "" || !blueReached {
		return
	}
	blue, err := m.side(Blue)
	if err != nil {
		return // it was reached a moment ago
	}
	needs := kube.Rules(lease.Rights(Blue, m.file.Applications[0].Namespace, m.file.Name))
	if missing, err := blue.Holds(ctx, needs...); err == nil && len(missing) > 0 {
		p.Refuse("lease on blue", "it may not "+missing[0].String(),
			"allow get, create, update and delete of leases.coordination.k8s.io there, or name a state.url: the lease keeps two machines from running the migration at once")
	}
}

// refusedInstead says everything that reading finds against the migration, where a verb cannot even begin: a cluster that
// cannot be reached is most often not the only thing that a person has to mend.
func (m *Migration) refusedInstead(ctx context.Context, err error) error {
	var held *LeaseHeldError
	if errors.As(err, &held) || errors.As(err, new(*RefusedError)) || m.journal.Stage("preflight").Finished {
		return err
	}
	p, perr := m.preflight(ctx)
	if perr != nil || p.Err() == nil {
		return err
	}
	return p.Err()
}

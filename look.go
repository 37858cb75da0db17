package crossfade

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/lease"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/remote"
)

// Holding is who runs the migration now.
type Holding struct {
	By string `json:"by"`
	// At is what says so: the state directory's lock, or the lease.
	At string `json:"at"`
	// Until is when the lease may be taken over unless it is renewed; zero for the lock.
	Until time.Time `json:"until,omitzero"`
	// Ended says that it was a process of this state directory that runs no more: here the next one goes on at once.
	Ended bool `json:"ended,omitempty"`
}

// glance bounds what Look asks of one place: status must not hang.
const glance = 10 * time.Second

// seen is what Look found.
type seen struct {
	log   *journal.Log // of the state store, where it has more than this directory
	held  *Holding
	blind string // why it is not known who holds the migration
	store remote.Store
}

// Look asks who runs the migration now, and the state store for what this directory has not. It takes no lock and no lease,
// and changes nothing. What could not be asked is said by Status, not by an error.
func (m *Migration) Look(ctx context.Context) {
	found := seen{}
	by, err := journal.Holder(ctx, m.file.StateDir())
	switch {
	case err != nil:
		found.blind = fmt.Sprintf("the lock of %s: %v", m.file.StateDir(), err)
	case by != "":
		found.held = &Holding{By: by, At: "the lock of " + m.file.StateDir()}
	}
	place, err := m.lookAtStore(ctx, &found)
	if err == nil && found.held == nil {
		err = m.lookAtLease(ctx, place, &found)
	}
	if err != nil && found.held == nil {
		found.blind = err.Error()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen = found
}

// lookAtStore reads what the state store has and this directory has not, and returns where the lease is.
func (m *Migration) lookAtStore(ctx context.Context, found *seen) (lease.Place, error) {
	if m.file.State == nil || m.file.State.URL == "" {
		return m.leasePlace(nil)
	}
	ctx, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	b, err := m.stateBucket(ctx, m.file.State)
	if err != nil {
		return nil, fmt.Errorf("the state store: %w", err)
	}
	found.store = &stateBucket{b: b} // asked once: who only looks does not wait for a silent store
	here := 0
	if log, err := journal.Read(m.file.StateDir()); err == nil {
		here = len(log.Records)
	}
	there, err := journal.LastChunk(ctx, found.store)
	if err == nil && there > uint64(here) {
		found.log, err = journal.ReadStore(ctx, found.store)
	}
	if err != nil {
		return nil, fmt.Errorf("the state store: %w", err)
	}
	return lease.InStore(found.store, m.file.State.URL), nil
}

func (m *Migration) lookAtLease(ctx context.Context, place lease.Place, found *seen) error {
	ctx, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	holder, version, err := place.Read(ctx)
	if err != nil {
		return fmt.Errorf("the lease at %s: %w", place, err)
	}
	if free := holder.Until.Add(lease.Skew); version != "" && m.opts.Clock.Now().Before(free) {
		found.held = &Holding{By: holder.String(), At: "the lease at " + place.String(), Until: free, Ended: m.isOurs(holder)}
	}
	return nil
}

// isOurs reports whether a lease was taken by this state directory on this machine. Who asks has found its lock free, so that process
// has ended, most often by a kill.
func (m *Migration) isOurs(h lease.Holder) bool {
	id, err := journal.Identity(m.file.StateDir())
	host, herr := os.Hostname()
	return err == nil && herr == nil && id != "" && h.State == id && h.Host == host
}

// looked returns what Look found last.
func (m *Migration) looked() seen {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen
}

// elsewhere reports whether the state store has more than this directory, as far as Look was asked: its manifests are not here.
func (m *Migration) elsewhere() bool { return m.journal == nil && m.looked().log != nil }

// planInForce reads the plan of a stage that was begun, from the state store where another machine has made it.
func (m *Migration) planInForce(ctx context.Context, s journal.Stage) (*plan.Plan, error) {
	p, err := journal.PlanOf(m.file.StateDir(), s)
	if store := m.looked().store; store != nil && errors.Is(err, fs.ErrNotExist) {
		return journal.PlanIn(ctx, store, s)
	}
	return p, err
}

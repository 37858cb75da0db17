package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// gate lets writes in while it is open, and counts them.
//
// Invariant: when shut has returned nil, every write that was let in has ended,
// and none is let in before set opens it.
type gate struct {
	mu       sync.Mutex
	closed   bool
	underWay int
	idle     chan struct{} // closed when underWay falls to 0; nil while it is 0
	accepted int64
	refused  int64
	failed   int64
	last     time.Time // end of the newest accepted write
}

// enter reports whether a write may begin. If so, leave must follow.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		g.refused++
		return false
	}
	if g.underWay == 0 {
		g.idle = make(chan struct{})
	}
	g.underWay++
	return true
}

// leave ends a write that enter let in; err is what the store said.
func (g *gate) leave(err error, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.failed++
	} else {
		g.accepted++
		g.last = at
	}
	if g.underWay--; g.underWay == 0 {
		close(g.idle)
		g.idle = nil
	}
}

// shut lets no write in from now on and waits for those under way. It stays shut
// when the wait is cut short; calling it again goes on waiting.
func (g *gate) shut(ctx context.Context) error {
	g.mu.Lock()
	g.closed = true
	idle, underWay := g.idle, g.underWay
	g.mu.Unlock()
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %d writes under way: %w", underWay, ctx.Err())
	}
}

// set opens or closes the gate and waits for nothing.
func (g *gate) set(closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = closed
}

// mode is the answer of /admin/mode.
type mode struct {
	ReadOnly  bool       `json:"readOnly"`  // all replicas are
	LastWrite *time.Time `json:"lastWrite"` // end of the newest accepted write; null: none yet
	Accepted  int64      `json:"accepted"`
	Refused   int64      `json:"refused"`  // answered 503 with X-Read-Only
	Failed    int64      `json:"failed"`   // the store gave an error; the object may or may not be there
	UnderWay  int        `json:"underWay"` // writes that were let in and have not ended
	Replicas  int        `json:"replicas"`
	Started   bool       `json:"startedReadOnly"` // READ_ONLY of the replica that answers
}

func (g *gate) mode() mode {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := mode{ReadOnly: g.closed, Accepted: g.accepted, Refused: g.refused, Failed: g.failed, UnderWay: g.underWay, Replicas: 1}
	if !g.last.IsZero() {
		last := g.last.UTC()
		m.LastWrite = &last
	}
	return m
}

// add merges another replica's mode into m.
func (m *mode) add(other mode) {
	m.ReadOnly = m.ReadOnly && other.ReadOnly
	m.Accepted += other.Accepted
	m.Refused += other.Refused
	m.Failed += other.Failed
	m.UnderWay += other.UnderWay
	m.Replicas += other.Replicas
	if other.LastWrite != nil && (m.LastWrite == nil || other.LastWrite.After(*m.LastWrite)) {
		m.LastWrite = other.LastWrite
	}
}

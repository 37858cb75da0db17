package plan

import (
	"encoding/json"
	"sync"
)

// MemoryRecorder is a Recorder that forgets with the process, for examples and tests of one step.
// The zero value is ready.
type MemoryRecorder struct {
	mu       sync.Mutex
	intents  map[string]Change
	outcomes map[string]json.RawMessage
	failures map[string]error
}

// Done implements Recorder.
func (m *MemoryRecorder) Done(changeID string) (json.RawMessage, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	raw, ok := m.outcomes[changeID]
	return raw, ok
}

// Intend implements Recorder.
func (m *MemoryRecorder) Intend(_ string, changes ...Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.intents == nil {
		m.intents = map[string]Change{}
	}
	for _, c := range changes {
		m.intents[c.ID] = c
	}
	return nil
}

// Succeed implements Recorder.
func (m *MemoryRecorder) Succeed(_, changeID string, outcome json.RawMessage) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.outcomes == nil {
		m.outcomes = map[string]json.RawMessage{}
	}
	m.outcomes[changeID] = outcome
	return nil
}

// Fail implements Recorder.
func (m *MemoryRecorder) Fail(_, changeID string, cause error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failures == nil {
		m.failures = map[string]error{}
	}
	m.failures[changeID] = cause
	return nil
}

// Intents returns the changes that were intended, by ID.
func (m *MemoryRecorder) Intents() map[string]Change {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string]Change, len(m.intents))
	for id, c := range m.intents {
		out[id] = c
	}
	return out
}

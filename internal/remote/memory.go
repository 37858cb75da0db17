package remote

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// Memory is a fake: a Store in memory, for tests of faults and orders that a real one cannot be made to show. The zero value is empty and ready.
type Memory struct {
	mu      sync.Mutex
	writes  int
	objects map[string]object
	// Before is called before each request and can fail it: "put", "get", "list", "delete", or "acknowledge" after a put
	// that was stored.
	Before func(op, name string) error
}

type object struct {
	data    []byte
	version Version
}

func (m *Memory) before(ctx context.Context, op, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.Before == nil {
		return nil
	}
	return m.Before(op, name)
}

// Get implements Reader.
func (m *Memory) Get(ctx context.Context, name string) (io.ReadCloser, Version, error) {
	if err := m.before(ctx, "get", name); err != nil {
		return nil, "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[name]
	if !ok {
		return nil, "", fmt.Errorf("%s: %w", name, ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(o.data)), o.version, nil
}

// List implements Reader.
func (m *Memory) List(ctx context.Context, prefix string) ([]string, error) {
	if err := m.before(ctx, "list", prefix); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.objects {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Put implements Writer.
func (m *Memory) Put(ctx context.Context, name string, body io.ReadSeeker, _ int64, seen Version) (Version, error) {
	if err := m.before(ctx, "put", name); err != nil {
		return "", err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return "", err
	}
	v, err := m.put(name, data, seen)
	if err != nil {
		return "", err
	}
	return v, m.before(ctx, "acknowledge", name)
}

func (m *Memory) put(name string, data []byte, seen Version) (Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects[name].version != seen {
		return "", fmt.Errorf("%s: %w", name, ErrConflict)
	}
	if m.objects == nil {
		m.objects = map[string]object{}
	}
	m.writes++
	v := Version(fmt.Sprint(m.writes))
	m.objects[name] = object{data: data, version: v}
	return v, nil
}

// Delete implements Writer.
func (m *Memory) Delete(ctx context.Context, name string, seen Version) error {
	if err := m.before(ctx, "delete", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[name]
	if ok && o.version != seen {
		return fmt.Errorf("%s: %w", name, ErrConflict)
	}
	delete(m.objects, name)
	return nil
}

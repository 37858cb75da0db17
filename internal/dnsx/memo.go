package dnsx

import "sync"

// Remember returns a client that puts each question of a discovery once, whatever the name that is discovered: names of one zone
// share its servers, its delegation, its wildcards and most of what they lead to. What it knows is as old as the first question
// for it, so that it is for looking at many names in one go, and not for waiting until something changes. Failures are not
// remembered; Ask, Propagated and Survey always ask.
func (c *Client) Remember() *Client {
	out := *c
	out.memo = &memo{}
	return &out
}

// memo is what a client remembers. Whoever wants what another one is asking for waits for the answer.
type memo struct {
	mu    sync.Mutex
	known map[string]*known
}

type known struct {
	mu    sync.Mutex
	there bool
	value any
}

func (m *memo) at(key string) *known {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[string]*known{}
	}
	if m.known[key] == nil {
		m.known[key] = &known{}
	}
	return m.known[key]
}

// remembered is what get gives, or gave before for the same key.
func remembered[T any](c *Client, key string, get func() (T, error)) (T, error) {
	if c.memo == nil {
		return get()
	}
	k := c.memo.at(key)
	k.mu.Lock()
	defer k.mu.Unlock()
	if value, ok := k.value.(T); ok && k.there {
		return value, nil
	}
	value, err := get()
	if err == nil {
		k.value, k.there = value, true
	}
	return value, err
}

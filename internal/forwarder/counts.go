package forwarder

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Format is the version of the JSON form of Counts.
const Format = 1

// maxClients bounds how many addresses a way remembers; those beyond are counted together.
const maxClients = 1000

// Counts are what one process has counted since it started.
type Counts struct {
	Format int `json:"format"`
	// Instance is another one in each process.
	Instance string      `json:"instance"`
	Started  time.Time   `json:"started"`
	Ways     []WayCounts `json:"ways"`
}

// WayCounts are those of one way.
type WayCounts struct {
	Name string `json:"name"`
	// Connections that came; of those Open are not over, Failed found no target that answers, Turned were beyond the limit.
	Connections int64 `json:"connections"`
	Open        int64 `json:"open"`
	Failed      int64 `json:"failed"`
	Turned      int64 `json:"turned"`
	// Clients are who came, those that came last first. Others counts connections of addresses beyond those that are remembered.
	Clients []Client `json:"clients,omitempty"`
	Others  int64    `json:"others,omitempty"`
}

// Client is one address from which connections came.
type Client struct {
	Address     netip.Addr `json:"address"`
	Connections int64      `json:"connections"`
	First       time.Time  `json:"first"`
	Last        time.Time  `json:"last"`
}

// tally counts one way.
type tally struct {
	mu      sync.Mutex
	counts  WayCounts
	clients map[netip.Addr]*Client
}

func newTally(name string) *tally {
	return &tally{counts: WayCounts{Name: name}, clients: map[netip.Addr]*Client{}}
}

// came counts a connection, and says whether it is the first from its address. What comes from the pod itself is a try of ours.
func (t *tally) came(from netip.Addr, now time.Time) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if from.IsLoopback() {
		return false
	}
	t.counts.Connections++
	c := t.clients[from]
	if c == nil && len(t.clients) >= maxClients {
		t.counts.Others++
		return false
	}
	if c == nil {
		c, first = &Client{Address: from, First: now}, true
		t.clients[from] = c
	}
	c.Connections++
	c.Last = now
	return first
}

// enter counts an open connection, unless there are as many as may be.
func (t *tally) enter(limit int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts.Open >= int64(limit) {
		t.counts.Turned++
		return false
	}
	t.counts.Open++
	return true
}

func (t *tally) leave(failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Open--
	if failed {
		t.counts.Failed++
	}
}

func (t *tally) read() WayCounts {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.counts
	for _, c := range t.clients {
		out.Clients = append(out.Clients, *c)
	}
	slices.SortFunc(out.Clients, func(a, b Client) int {
		return cmp.Or(b.Last.Compare(a.Last), a.Address.Compare(b.Address))
	})
	return out
}

// metrics writes the counts in Prometheus's text format.
func (c Counts) metrics(w io.Writer) error {
	for _, m := range []struct {
		name, kind, help string
		value            func(WayCounts) int64
	}{
		{"connections_total", "counter", "Connections that came.", func(w WayCounts) int64 { return w.Connections }},
		{"connections_open", "gauge", "Connections that are not over.", func(w WayCounts) int64 { return w.Open }},
		{"failed_total", "counter", "Connections for which no target answered.", func(w WayCounts) int64 { return w.Failed }},
		{"turned_away_total", "counter", "Connections beyond the limit.", func(w WayCounts) int64 { return w.Turned }},
		{"clients", "gauge", "Addresses from which connections came.", func(w WayCounts) int64 { return int64(len(w.Clients)) }},
	} {
		if _, err := fmt.Fprintf(w, "# HELP crossfade_forwarder_%s %s\n# TYPE crossfade_forwarder_%s %s\n", m.name, m.help, m.name, m.kind); err != nil {
			return err
		}
		for _, way := range c.Ways {
			if _, err := fmt.Fprintf(w, "crossfade_forwarder_%s{way=%q} %d\n", m.name, way.Name, m.value(way)); err != nil {
				return err
			}
		}
	}
	return nil
}

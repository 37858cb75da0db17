package cutover

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-project/crossfade/internal/nodeflows"
)

// manyNodes plays a cluster whose pods take a while to start, and then watch as those of PodFlows do.
type manyNodes struct {
	count int
	start func(node, look int) time.Duration
	ahead time.Duration // by which the clock of the first one is
	looks int
}

func (m *manyNodes) Flows(ctx context.Context) ([]nodeflows.Report, error) {
	names, number := make([]string, m.count), map[string]int{}
	for i := range names {
		names[i] = fmt.Sprint("n", i)
		number[names[i]] = i
	}
	m.looks++
	look := m.looks
	return watchNodes(ctx, names, func(_ context.Context, name string) (nodeflows.Report, error) {
		time.Sleep(m.start(number[name], look))
		clock := func() time.Time { return time.Now().UTC() }
		if number[name] == 0 {
			clock = func() time.Time { return time.Now().UTC().Add(m.ahead) }
		}
		from := clock()
		time.Sleep(watchFor(defaultIdleInterval))
		return nodeflows.Report{Node: name, From: from, Until: clock()}, nil
	})
}

func watchMany(t *testing.T, nodes *manyNodes) Idle {
	t.Helper()
	entries := []Entry{{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Port: 443}}
	idle, err := WatchIdle(t.Context(), IdleOptions{Evidence: []Evidence{FlowEvidence{Reader: nodes, Entries: entries}}})
	if err != nil {
		t.Fatalf("%d nodes: %v", nodes.count, err)
	}
	return idle
}

// However many nodes blue has, none of them waits until others have been watched: its table remembers two minutes.
func TestC24_BlueOfManyNodesIsIdleInTheEnd(t *testing.T) {
	for _, count := range []int{1, 48, 49, 300} {
		synctest.Test(t, func(t *testing.T) {
			idle := watchMany(t, &manyNodes{count: count, start: func(node, _ int) time.Duration { return time.Duration(node%8) * time.Second }})
			if len(idle.Restarts) > 0 || idle.For < idleFloor || idle.For > idleFloor+5*time.Minute {
				t.Errorf("%d nodes: idle for %s: %+v", count, idle.For, idle.Restarts)
			}
		})
	}
}

// A look ends with its last node. For how long the others had not been watched is known by their own watches, whatever their clocks say.
func TestC24_TheHoleOfANodeIsThatOfItsOwnWatches(t *testing.T) {
	// The first node starts late at the second look; the second one at the third, when it has not been watched since the first one started.
	late := func(first, second time.Duration) func(node, look int) time.Duration {
		return func(node, look int) time.Duration {
			switch {
			case node == 0 && look == 2:
				return first
			case node == 1 && look == 3:
				return second
			}
			return 0
		}
	}
	for name, tt := range map[string]struct {
		start func(node, look int) time.Duration
		ahead time.Duration
		want  []string
	}{
		"two short ones":               {late(100*time.Second, 5*time.Second), 0, nil},
		"its own":                      {late(110*time.Second, 0), 0, []string{"1m55s"}},
		"while another was waited for": {late(100*time.Second, 12*time.Second), 0, []string{"1m52s"}},
		"a clock ahead":                {late(0, 0), time.Hour, nil},
		"a clock behind":               {late(0, 0), -time.Hour, nil},
		"a clock ahead, and a hole":    {late(110*time.Second, 0), time.Hour, []string{"1m55s"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var got []string
			for _, r := range watchMany(t, &manyNodes{count: 3, start: tt.start, ahead: tt.ahead}).Restarts {
				_, hole, _ := strings.Cut(r.Why, "nothing was watched for ")
				got = append(got, hole)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s: the time began again after %v, want %v", name, got, tt.want)
			}
		})
	}
}

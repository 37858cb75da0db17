package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/nodeflows"
)

// FlowReader lists the connections that pass through every node of blue.
type FlowReader interface {
	// Flows watches all nodes and returns a report for each. A node that cannot be watched is an error: what passes there
	// is not known.
	Flows(ctx context.Context) ([]nodeflows.Report, error)
}

// FlowEvidence watches connections to blue's entries by the nodes' connection tracking.
type FlowEvidence struct {
	Reader FlowReader
	// Entries of blue whose addresses, node ports and cluster addresses count.
	Entries []Entry
	// Ignore are the sources that do not count: probes and scanners, and what goes away together with blue.
	Ignore []netip.Prefix
	Clock  clock.Clock
}

// Name implements Evidence.
func (f FlowEvidence) Name() string { return "connections through blue's nodes" }

// Coverage implements Evidence: a table of connections has what is open, and for two minutes what was closed in good order.
func (f FlowEvidence) Coverage() Coverage { return Sampled }

// CountsKnock implements KnockCounter: a connection comes to an entry whether somebody answers or not.
func (f FlowEvidence) CountsKnock(Knock) (time.Duration, bool) { return 0, true }

// flowState is what the next look is compared with.
type flowState struct {
	// Open says for each connection whether it could still carry requests.
	Open map[string]bool `json:"open"`
	// Ended says by its own clock when the watch of a node ended, for those where that is not when the look did.
	Ended map[string]time.Time `json:"ended,omitempty"`
}

// atOnce is what idleGap leaves of the time for which connection tracking remembers: by as much the watches of nodes may end before the look.
const atOnce = 10 * time.Second

// begins is from when on a node was watched again. Where its last watch ended long before the last look did, or its clock is another, what
// counts is for how long it was not watched, after the last look.
func (s flowState) begins(report nodeflows.Report, last Observation) time.Time {
	if ended, apart := s.Ended[report.Node]; apart {
		return last.At.Add(report.From.Sub(ended))
	}
	return report.From
}

// Collect implements Evidence. A connection counts while it is open, when it was open at the last look, and when it came
// and went since then; one that had ended before the last look does not count again.
func (f FlowEvidence) Collect(ctx context.Context, last Observation) (Observation, error) {
	if len(f.Entries) == 0 {
		return Observation{}, errors.New("no entry of blue is known, so no connection can be told to be one")
	}
	reports, err := f.Reader.Flows(ctx)
	if err != nil {
		return Observation{}, err
	}
	if len(reports) == 0 {
		return Observation{}, errors.New("blue has no node that could be watched")
	}
	before := flowState{}
	first := len(last.State) == 0
	if !first {
		if err := json.Unmarshal(last.State, &before); err != nil {
			return Observation{}, fmt.Errorf("read the state of the last look: %w", err)
		}
	}
	at := clock.Clock(clock.System{})
	if f.Clock != nil {
		at = f.Clock
	}
	obs := Observation{Evidence: f.Name(), Use: Quiet, At: at.Now().UTC()}
	now := flowState{Open: map[string]bool{}, Ended: map[string]time.Time{}}
	seen := 0
	uses := map[string]bool{} // a connection that passes through two nodes is one
	for _, report := range reports {
		// The tables of two nodes are read at different times: what all of them cover begins with the last.
		if from := before.begins(report, last); from.After(obs.From) {
			obs.From = from
		}
		if obs.At.Sub(report.Until).Abs() > atOnce {
			now.Ended[report.Node] = report.Until
		}
		for _, flow := range report.Flows {
			if !f.counts(flow) {
				continue
			}
			seen++
			key := flowKey(report.Node, flow)
			now.Open[key] = flow.Open()
			wasOpen, known := before.Open[key]
			if flow.Open() || wasOpen || !known && !first {
				obs.Use, uses[connectionOf(key)] = Used, true
				obs.Details = append(obs.Details, describeFlow(report.Node, flow))
			}
		}
	}
	for key, open := range before.Open {
		if _, still := now.Open[key]; open && !still {
			obs.Use, uses[connectionOf(key)] = Used, true
			obs.Details = append(obs.Details, key+" ended since the last look")
		}
	}
	obs.Text = fmt.Sprintf("%d nodes watched%s, %d connections to blue's entries, %d of them since the last look or open", len(reports), f.ports(), seen, len(obs.Details))
	obs.Uses = int64(len(uses))
	slices.Sort(obs.Details)
	obs.Details = cut(obs.Details)
	state, err := json.Marshal(now)
	if err != nil {
		return Observation{}, fmt.Errorf("keep the state of this look: %w", err)
	}
	obs.State = state
	return obs, nil
}

// ports says by which ports connections are told to be blue's, so that one which is not known is missed by whoever reads it.
func (f FlowEvidence) ports() string {
	var node []int
	for _, e := range f.Entries {
		if e.NodePort > 0 && !slices.Contains(node, e.NodePort) {
			node = append(node, e.NodePort)
		}
	}
	if len(node) == 0 {
		return " (no node port of blue's entries is known: what a load balancer passes to one is not seen)"
	}
	slices.Sort(node)
	return fmt.Sprintf(" (node ports %s, and blue's addresses)", strings.Trim(fmt.Sprint(node), "[]"))
}

func (f FlowEvidence) counts(flow nodeflows.Flow) bool {
	if slices.ContainsFunc(f.Ignore, func(p netip.Prefix) bool { return p.Contains(flow.Source) }) {
		return false
	}
	port := int(flow.DestinationPort)
	return slices.ContainsFunc(f.Entries, func(e Entry) bool {
		if e.NodePort > 0 && port == e.NodePort {
			return true
		}
		return port == e.Port && (slices.Contains(e.Addresses, flow.Destination) || slices.Contains(e.ClusterIPs, flow.Destination))
	})
}

func flowKey(node string, f nodeflows.Flow) string {
	k := f.Key()
	key := fmt.Sprintf("%s %s %s > %s", node, k.Protocol, k.Source, k.Destination)
	if !f.TimeStart.IsZero() {
		key += " " + f.TimeStart.Format(time.RFC3339Nano)
	}
	return key
}

// connectionOf is a key without the node, and the time at which that saw it first.
func connectionOf(key string) string {
	parts := strings.Fields(key)
	return strings.Join(parts[1:min(len(parts), 5)], " ")
}

func describeFlow(node string, f nodeflows.Flow) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s", flowKey(node, f), f.State))
}

// watchNodes watches every node at once, however many there are: one that waited for its turn would be without a watch for longer than its
// table remembers.
func watchNodes(ctx context.Context, nodes []string, one func(context.Context, string) (nodeflows.Report, error)) ([]nodeflows.Report, error) {
	reports := make([]nodeflows.Report, len(nodes))
	group, ctx := errgroup.WithContext(ctx)
	for i, node := range nodes {
		group.Go(func() error {
			report, err := one(ctx, node)
			if err != nil {
				return fmt.Errorf("watch the connections of node %s: %w", node, err)
			}
			reports[i] = report
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return reports, nil
}

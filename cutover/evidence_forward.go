package cutover

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/cutover/internal/front"
	"github.com/crossfade-project/crossfade/internal/forwarder"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// ForwardEvidence asks the pods that pass connections on to green who still comes.
type ForwardEvidence struct {
	Options
	App string
	// Ignore are addresses of probes and scanners.
	Ignore   []netip.Prefix
	pods     front.Pods
	switches []front.Switch
}

// NewForwardEvidence is that of a forwarding, by its plan.
func NewForwardEvidence(opts Options, app string, p *plan.Plan, ignore []netip.Prefix) (ForwardEvidence, error) {
	d, err := readForward(p)
	if err != nil {
		return ForwardEvidence{}, err
	}
	return ForwardEvidence{Options: opts, App: app, Ignore: ignore, pods: d.pods[0], switches: d.switches}, nil
}

// Name implements Evidence.
func (f ForwardEvidence) Name() string { return ForwardEvidenceName(f.App) }

// ForwardEvidenceName is the name of the evidence of an application.
func ForwardEvidenceName(app string) string {
	return "clients of " + app + " that blue passes on to green"
}

// CountsKnock implements KnockCounter: it counts what has come to its own pods.
func (f ForwardEvidence) CountsKnock(k Knock) (time.Duration, bool) {
	return 0, k.App == f.App && !k.Refused
}

// forwardState is what the next look is compared with: by pod, which process counted, and by way who came last, by the pod's clock.
type forwardState struct {
	Pods map[string]forwardPod `json:"pods"`
}

type forwardPod struct {
	Instance string                `json:"instance"`
	Ways     map[string]forwardWay `json:"ways"`
}

type forwardWay struct {
	Last   time.Time `json:"last,omitzero"`
	Others int64     `json:"others,omitempty"`
	// Counted are the connections of all who are not ignored.
	Counted int64 `json:"counted,omitempty"`
}

// Coverage implements Evidence.
func (f ForwardEvidence) Coverage() Coverage { return Whole }

// Collect implements Evidence. The pods count between two looks, so each look reaches back to the last one, unless a pod went away or
// began again: what it had counted is lost then. The first look only says where the counting begins.
func (f ForwardEvidence) Collect(ctx context.Context, last Observation) (Observation, error) {
	for _, s := range f.switches {
		svc, err := f.Blue.Kube.Typed.CoreV1().Services(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
		if err != nil {
			return Observation{}, fmt.Errorf("read %s: %w", s, err)
		}
		if svc.Spec.Selector[kube.LabelFront] == "" {
			return Observation{}, fmt.Errorf("%s does not lead to our pods any more: somebody has put it back, and nobody counts who comes", s)
		}
	}
	counts, err := f.front().Counts(ctx, f.pods)
	if err != nil {
		return Observation{}, err
	}
	before := forwardState{}
	first := len(last.State) == 0
	if !first {
		if err := json.Unmarshal(last.State, &before); err != nil {
			return Observation{}, fmt.Errorf("read the state of the last look: %w", err)
		}
	}
	obs := Observation{Evidence: f.Name(), Use: Quiet, At: f.now(), From: last.At}
	state := forwardState{Pods: map[string]forwardPod{}}
	var all int64
	var callers []Caller
	for pod, c := range counts {
		was, known := before.Pods[pod]
		if !first && (!known || was.Instance != c.Instance) {
			if known {
				obs.lose("pod %s began again: what it counted last is lost", pod)
			}
			obs.From = obs.At
			was = forwardPod{} // it has counted only since it began, and whoever it counted came since the last look
		}
		is := forwardPod{Instance: c.Instance, Ways: map[string]forwardWay{}}
		for _, w := range c.Ways {
			all += w.Connections
			counted := f.counted(w)
			more := max(0, counted-was.Ways[w.Name].Counted)
			obs.Uses += more
			callers = append(callers, f.since(w, was.Ways[w.Name], more)...)
			is.Ways[w.Name] = forwardWay{Last: lastOf(w), Others: w.Others, Counted: counted}
		}
		state.Pods[pod] = is
	}
	for pod := range before.Pods {
		if _, still := counts[pod]; !still {
			obs.lose("pod %s is gone: what it counted last is lost", pod)
		}
	}
	if first {
		callers, obs.Uses = nil, 0
	}
	if obs.From.IsZero() {
		obs.From = obs.At
	}
	if len(callers) > 0 {
		obs.Use = Used
	}
	slices.SortFunc(callers, func(a, b Caller) int { return b.Last.Compare(a.Last) })
	for _, c := range callers {
		obs.Details = append(obs.Details, fmt.Sprintf("%s at %s, %d connections so far, last at %s", c.Address, c.Way, c.Connections, c.Last.Format(time.DateTime)))
	}
	obs.Text = fmt.Sprintf("%d pods have passed on %d connections, %d of them since the last look, of %d clients", len(counts), all, obs.Uses, len(callers))
	obs.Details = cut(obs.Details)
	if obs.State, err = json.Marshal(state); err != nil {
		return Observation{}, fmt.Errorf("keep the state of this look: %w", err)
	}
	return obs, nil
}

// ignored reports whether a client does not count.
func (f ForwardEvidence) ignored(c forwarder.Client) bool {
	return slices.ContainsFunc(f.Ignore, func(p netip.Prefix) bool { return p.Contains(c.Address) })
}

// counted are the connections at a way without those of clients that do not count.
func (f ForwardEvidence) counted(w forwarder.WayCounts) int64 {
	n := w.Connections
	for _, c := range w.Clients {
		if f.ignored(c) {
			n -= c.Connections
		}
	}
	return n
}

// since are the clients that came after those of the last look. Their connections are as many as they ever made; more of them are new.
func (f ForwardEvidence) since(w forwarder.WayCounts, was forwardWay, more int64) []Caller {
	var callers []Caller
	for _, c := range w.Clients {
		if c.Last.After(was.Last) && !f.ignored(c) {
			callers = append(callers, Caller{Way: w.Name, Address: c.Address.String(), Connections: c.Connections, Last: c.Last})
		}
	}
	if n := w.Others - was.Others; n > 0 {
		callers = append(callers, Caller{Way: w.Name, Address: "others", Connections: n})
	}
	if more > 0 && len(callers) == 0 { // they came at the very time of the last one
		callers = append(callers, Caller{Way: w.Name, Address: "clients", Connections: more, Last: lastOf(w)})
	}
	return callers
}

func lastOf(w forwarder.WayCounts) time.Time {
	if len(w.Clients) == 0 {
		return time.Time{}
	}
	return w.Clients[0].Last // they are sorted so
}

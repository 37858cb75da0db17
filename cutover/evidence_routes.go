package cutover

import (
	"context"
	"fmt"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/internal/backend"
)

// RouteEvidence looks whether the rules of hostnames that keep their entry lead anywhere to blue. That entry goes on serving, so
// connections to it say nothing of blue.
type RouteEvidence struct {
	Options
	// Held are the hostnames, as the stage of the TTLs left them. Those without a route are passed over.
	Held []Held
}

// routeEvidence is that of the hostnames whose backend is switched, none where there are no such.
func routeEvidence(opts BlueEvidenceOptions) []Evidence {
	for _, h := range opts.Held {
		if h.Route != nil {
			return []Evidence{RouteEvidence{Options: opts.Options, Held: opts.Held}}
		}
	}
	return nil
}

// Name implements Evidence.
func (r RouteEvidence) Name() string { return "rules that lead to blue" }

// Coverage implements Evidence.
func (r RouteEvidence) Coverage() Coverage { return State }

// Collect implements Evidence. Like names, rules are a state: a look reaches back to the last.
func (r RouteEvidence) Collect(ctx context.Context, last Observation) (Observation, error) {
	obs := Observation{Evidence: r.Name(), Use: Quiet, From: last.At}
	if last.At.IsZero() {
		obs.From = r.now()
	}
	asked := 0
	for _, held := range r.Held {
		if held.Route == nil {
			continue
		}
		asked++
		state, err := backend.Read(ctx, r.Blue.Kube, held.Route.Ref, held.Route.Host)
		if err != nil {
			return Observation{}, err
		}
		targets, err := backend.Targets(held.Route.Kind, state.Rules)
		if err != nil {
			return Observation{}, fmt.Errorf("%s: %w", held.Route.Ref, err)
		}
		for _, t := range targets {
			if toBlue := t.Namespace == "" || t.Namespace == held.Route.Namespace; toBlue && !strings.HasPrefix(t.Service, ownPrefix) {
				obs.Use = Used
				obs.Details = append(obs.Details, fmt.Sprintf("%s leads %s to %s", held.Route.Ref, held.Route.Host, t))
			}
		}
	}
	obs.At = r.now()
	obs.Text = fmt.Sprintf("the rules of %d hostnames that keep their entry; %d targets are blue's", asked, len(obs.Details))
	obs.Details = cut(obs.Details)
	return obs, nil
}

package cutover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/cutover/internal/backend"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// HoldSwitches sees that the backends that a finished swap has switched still lead to green. What they lead through, and somebody has
// deleted, is made again: users reach nothing without it. Rules and fences that are not the swap's any more are warned of in a plan, and
// left as they are: their writer may have meant it.
func HoldSwitches(ctx context.Context, p *plan.Plan, opts ReturnOptions) error {
	return opts.switched(ctx, func(c plan.Change, d switchData, now *backend.State) error {
		warn := func(format string, args ...any) { p.Note(plan.Warning, c.Target, fmt.Sprintf(format, args...)) }
		to := backend.Describe(d.Change.New)
		switch {
		case now == nil:
			warn("%s, which leads it to green, is gone; make it again as the archive has it, and lead it %s", d.Route, to)
			return nil
		case !backend.Same(now.Rules, d.Change.New):
			warn("%s leads it %s, and the swap led it to green: %s; %s", d.Route, backend.Describe(now.Rules), to, mendPutBack(c.App, to))
			return nil
		case now.Fence != d.Fence.Token && !slices.Contains(opts.Fences, zone.Fence{Name: d.Fence.Name, Token: now.Fence}):
			warn("another writer holds its fence: %s, so that going back to blue may be refused; %s", orUnknown(now.Fence), mendRouteFence(d))
			return nil
		}
		for _, m := range d.Made {
			again, err := backend.Create(ctx, opts.kubeOn(m.Side), m.Object)
			switch {
			case again:
				warn("%s, through which %s leads it to green, was deleted, and nobody was led anywhere: it is made again; find out who deletes it", m, d.Route)
			case errors.Is(err, backend.ErrForeign), errors.Is(err, backend.ErrChanged):
				warn("%s leads it to green through %s, and that is not as the swap made it: %v; take it away, if nobody needs it, and the next run makes it again", d.Route, m, err)
			case err != nil:
				return err
			}
		}
		return nil
	})
}

// mendRouteFence says what to do about a fence of a route that is not this migration's any more.
func mendRouteFence(d switchData) string {
	return fmt.Sprintf("find out who took it; if nobody writes there, put the annotation %s back with the text %s", backend.FenceAnnotation(d.Route.Host), d.Fence.Token)
}

func mendPutBack(app, to string) string {
	return fmt.Sprintf("find out who changed it (what keeps objects as a repository has them, say), and lead it %s again, or go back: `crossfade rollback %s`", to, app)
}

// judgeSwitched refuses a hostname that this migration has led to green at its backend, and that does not lead there.
func judgeSwitched(ctx context.Context, opts Options, s *RouteState, found *Inspection) error {
	leads, err := NamesOptions{Options: opts}.routeAtGreen(ctx, s.Entries)
	if err != nil {
		return err
	}
	if leads == "" {
		found.refuse(s.Hostname, fmt.Sprintf("this migration has led it to green, and %s leads it %s", s.Route.Ref, s.Leads), mendPutBack(s.App, "to green"))
		return nil
	}
	targets, err := backend.Targets(s.Route.Kind, s.state.Rules)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if t.Namespace != "" || !strings.HasPrefix(t.Service, ownPrefix) {
			continue
		}
		_, err := opts.Blue.Kube.Typed.CoreV1().Services(s.Route.Namespace).Get(ctx, t.Service, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			found.refuse(s.Hostname, fmt.Sprintf("%s leads it to green through the Service %s, which is gone", s.Route.Ref, t.Service), "find out who deleted it; the next `crossfade run` makes it again")
		} else if err != nil {
			return fmt.Errorf("read Service %s/%s on blue: %w", s.Route.Namespace, t.Service, err)
		}
	}
	return nil
}

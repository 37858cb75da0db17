package hook

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/internal/migration"
)

const (
	defaultSettle = time.Minute
	settleStep    = 500 * time.Millisecond
	logEvery      = 20 * time.Second
)

// Probe tries a write. It returns nil only when every running pod (or the URL) refused it with one of the declared status
// codes, and no pod is just starting, which could accept writes a moment later, or still ending.
// An answer in the pod's stead, or none, is no refusal (I8). A write that was accepted gives ErrAccepted.
func (r Runner) Probe(ctx context.Context, p migration.Probe) error {
	if p.HTTP.Pods == nil {
		status, err := r.callURL(ctx, p.HTTP)
		if err != nil {
			return fmt.Errorf("try a write at %s: %w", withoutUser(p.HTTP.URL), err)
		}
		return refused(p, withoutUser(p.HTTP.URL), status)
	}
	pods, err := r.settled(ctx, *p.HTTP.Pods)
	if err != nil {
		return err
	}
	for _, name := range names(pods.running) {
		status, err := r.callPod(ctx, p.HTTP, name)
		if err != nil {
			return fmt.Errorf("try a write at pod %s/%s: %w", r.Namespace, name, err)
		}
		if err := refused(p, "pod "+r.Namespace+"/"+name, status); err != nil {
			return err
		}
	}
	return nil
}

func refused(p migration.Probe, who string, status int) error {
	switch {
	case slices.Contains(p.Refused, status):
		return nil
	case status >= 200 && status < 300:
		return fmt.Errorf("%s answered %d: %w", who, status, ErrAccepted)
	}
	return fmt.Errorf("%s answered %d to a write, which is not among the codes that mean refused (%v): %w", who, status, p.Refused, ErrAnswer)
}

// settled waits until no pod is starting or ending.
func (r Runner) settled(ctx context.Context, p migration.PodEndpoint) (podSet, error) {
	limit := r.Settle
	if limit == 0 {
		limit = defaultSettle
	}
	began := r.clock().Now()
	logged := began
	for {
		pods, err := r.pods(ctx, p)
		if err != nil {
			return podSet{}, err
		}
		if len(pods.unsettled) == 0 {
			if len(pods.running) == 0 {
				return podSet{}, fmt.Errorf("try a write at the pods %q in %s: %w", r.selector(p), r.Namespace, ErrNoPods)
			}
			return pods, nil
		}
		waiting := strings.Join(names(pods.unsettled), ", ")
		now := r.clock().Now()
		if now.Sub(began) >= limit {
			return podSet{}, fmt.Errorf("pods of %s are starting or ending after %s: %s: a freeze could miss them", r.Namespace, limit, waiting)
		}
		if now.Sub(logged) >= logEvery {
			logged = now
			r.log().InfoContext(ctx, "waiting for pods that start or end", "namespace", r.Namespace, "pods", waiting)
		}
		if err := r.clock().Sleep(ctx, settleStep); err != nil {
			return podSet{}, err
		}
	}
}

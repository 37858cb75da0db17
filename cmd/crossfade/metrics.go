package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/metrics"
)

// metricsFlag is --metrics of the verbs that copy buckets.
func metricsFlag(c *cobra.Command, address *string) {
	c.Flags().StringVar(address, "metrics", "", "serve metrics for Prometheus at http://ADDRESS/metrics while it runs: host:port, or a port of the loopback interface (default none)")
}

// withMetrics serves metrics while something runs, where an address is given.
func (p *program) withMetrics(ctx context.Context, address string, run func() error) error {
	if address == "" {
		return run()
	}
	p.metrics = metrics.New()
	at, stop, err := p.metrics.Serve(ctx, address)
	if err != nil {
		return &usageError{err}
	}
	p.progress.Line("metrics at http://%s/metrics", at)
	err = run()
	return errors.Join(err, stop())
}

// events tells whoever wants to know of events.
func (p *program) events() func(crossfade.Event) {
	show := newEvents(p.progress).handle
	switch p.shown {
	case "json":
		show = newEventLines(p.progress).handle
	case "none": // a warning is no progress
		all := show
		show = func(ev crossfade.Event) {
			if ev.Kind == crossfade.Warned {
				all(ev)
			}
		}
	}
	return func(ev crossfade.Event) {
		if ev.Kind == crossfade.Copying {
			p.metrics.Copied(ev.Stage, metrics.Copy{
				Objects: ev.Copy.Objects, Bytes: ev.Copy.Bytes, TotalObjects: ev.Copy.TotalObjects, TotalBytes: ev.Copy.TotalBytes,
				Retries: ev.Copy.Retries, Throttles: ev.Copy.Throttles, Failures: ev.Copy.Failures,
			})
		}
		show(ev)
	}
}

// outcome is how a request ended, in a word.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, bucket.ErrNotExist):
		return "not-found"
	case errors.Is(err, bucket.ErrPrecondition):
		return "precondition"
	case errors.Is(err, bucket.ErrDenied):
		return "denied"
	case errors.Is(err, bucket.ErrSlowDown):
		return "throttled"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "failed"
}

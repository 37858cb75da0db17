package cutover

import (
	"context"
	"time"
)

const defaultReady = 5 * time.Minute

// WaitForChecks sends the checks of an application in rounds until all pass in one, for as long as green may take to be
// ready. Its error is then the *GateError of the last round.
func WaitForChecks(ctx context.Context, opts CheckOptions) ([]Gate, error) {
	limit := opts.now().Add(opts.Times.Ready.Or(defaultReady))
	var said time.Time
	for {
		// An address that came up since the last round counts.
		entries, err := FindEntries(ctx, opts.Options, opts.App)
		if err != nil {
			return nil, err
		}
		opts.Entries = entries
		gates, err := Check(ctx, opts)
		if err != nil {
			return gates, err
		}
		if Verdict(gates) == Passed {
			return gates, nil
		}
		now := opts.now()
		if !now.Before(limit) {
			return gates, &GateError{App: opts.App, Gates: gates}
		}
		if now.Sub(said) >= sayEvery {
			opts.log().InfoContext(ctx, "waiting until the checks pass", "app", opts.App, "side", opts.Side, "until", limit.Format(time.TimeOnly), "checks", describeBad(gates))
			said = now
		}
		if err := opts.clock().Sleep(ctx, min(opts.interval(), time.Second)); err != nil {
			return gates, err
		}
	}
}

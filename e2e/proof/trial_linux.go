package proof

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/e2e/load"
)

// A trial is one scenario while it is played: its scene, and what was found wanting.
type trial struct {
	*scene
	result *Result
	// outage is set where the scenario takes away something that users need, so that requests of theirs must fail.
	outage bool
	// deaf is set where it takes a name server away.
	deaf bool
}

// want notes what does not hold.
func (t *trial) want(holds bool, format string, args ...any) {
	if !holds {
		t.result.Wanting = append(t.result.Wanting, fmt.Sprintf(format, args...))
	}
}

// tell adds a figure.
func (t *trial) tell(name, format string, args ...any) {
	t.result.Figures = append(t.result.Figures, Figure{name, fmt.Sprintf(format, args...)})
}

// run runs a verb to its end and wants it to be done.
func (t *trial) run(ctx context.Context, verb string, args ...string) (ending, error) {
	e, err := t.crossfade(ctx, "", append([]string{verb}, args...)...)
	if err == nil {
		t.want(e.code == 0, "%s ended with %s; want exit 0", verb, e)
	}
	return e, err
}

// settle sends the users home and holds their books against the store of the side that serves now: every accepted write is
// there as it was written, no request failed, no name was ever without an answer, and all servers lead to that side.
func (t *trial) settle(ctx context.Context, side string) error {
	if err := wait(ctx, 2*time.Second); err != nil {
		return err
	}
	for _, host := range t.hosts() {
		t.want(t.watch.where(host) == side, "%s leads to %s; want %s", host, t.watch.where(host), side)
	}
	t.leave()
	asked, denied, silent := t.watch.end()
	t.result.Asked, t.result.Denied = asked, len(denied)
	t.want(len(denied) == 0, "names without an answer: %s", strings.Join(denied[:min(3, len(denied))], "; "))
	t.want(t.deaf || silent == 0, "%d questions for a name had no answer", silent)
	totals := t.books.Totals
	t.result.Requests, t.result.Failed, t.result.Writes, t.result.Refused = totals.Requests, totals.Failed(), totals.Writes, totals.Refused
	if !t.outage {
		for _, f := range t.books.Failures[:min(3, len(t.books.Failures))] {
			t.want(false, "failed: %s %s %s by %s on %s: %s", f.At.Format("15:04:05.000"), f.Op, f.Host, f.Client, f.Side, f.Reason)
		}
	}
	if err := t.holdBooks(ctx, side); err != nil {
		return err
	}
	return t.holdClock(ctx, side)
}

// holdBooks looks for every accepted write in a side's store, and for what nobody wrote.
func (t *trial) holdBooks(ctx context.Context, side string) error {
	st, err := t.store(side)
	if err != nil {
		return err
	}
	shop := t.demo.Host("shop")
	accepted := t.books.Accepted(shop)
	v, err := load.Verify(ctx, accepted, func(ctx context.Context, key string) ([]byte, error) {
		return st.read(ctx, t.demo.ShopBucket(), key)
	})
	if err != nil {
		return err
	}
	t.result.Lost = len(v.Lost) + len(v.Unread)
	for _, l := range slices.Concat(v.Lost, v.Unread)[:min(3, t.result.Lost)] {
		t.want(false, "lost: %s: %s", l.Key, l.Reason)
	}
	keys, err := st.list(ctx, t.demo.ShopBucket())
	if err != nil {
		return err
	}
	for _, target := range t.books.Targets {
		if target.Target.Host == shop {
			accepted = append(accepted, target.Unsure...)
		}
	}
	for _, key := range keys {
		t.want(!strings.HasPrefix(key, "load/") || slices.Contains(accepted, key), "%s's store holds %s, which no user wrote", side, key)
	}
	return nil
}

// holdClock wants every tick that one side's clock wrote in the store of the side that serves now.
func (t *trial) holdClock(ctx context.Context, side string) error {
	kept := map[string][]string{}
	for _, s := range []string{"blue", "green"} {
		st, err := t.store(s)
		if err != nil {
			return err
		}
		if kept[s], err = st.list(ctx, t.demo.ClockBucket()); err != nil {
			return err
		}
	}
	for _, key := range slices.Concat(kept["blue"], kept["green"]) {
		t.want(slices.Contains(kept[side], key), "%s's store lacks the clock's %s", side, key)
	}
	return nil
}

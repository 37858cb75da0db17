package proof

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/e2e/load"
)

// rollbacks take a finished cutover back, when green has taken writes: once in one go, and killed in the middle.
func rollbacks() []scenario {
	list := []scenario{{name: "rollback-whole", pace: usual(), play: func(ctx context.Context, t *trial) error {
		return t.rolledBack(ctx, nil)
	}}}
	for _, k := range []kill{
		{"hold", "after", `"kind":"intent","stage":"hold/shop"`},
		{"back-sync", "torn", `"kind":"done","stage":"back-sync/shop"`},
		{"return", "before", `"kind":"done","stage":"return/shop"`},
	} {
		list = append(list, scenario{name: "rollback-kill-" + k.name, pace: usual(), play: func(ctx context.Context, t *trial) error {
			return t.rolledBack(ctx, &k)
		}})
	}
	return list
}

// rolledBack brings the migration to its end, lets users write to green, rolls back, and wants blue exactly as it was at first
// with every write. Then it migrates again, and wants what an unbroken run leaves.
func (t *trial) rolledBack(ctx context.Context, k *kill) error {
	before, err := t.look(ctx)
	if err != nil {
		return err
	}
	if _, err := t.run(ctx, "run", "--yes", "-o", "json"); err != nil {
		return err
	}
	green, err := t.writes(ctx, "green", time.Now(), 20)
	if err != nil {
		return err
	}
	t.tell("writes of green", "%d", green)
	if k != nil {
		first, err := t.crossfade(ctx, fmt.Sprintf("kill %s %s", k.moment, k.record), "rollback", "--yes")
		if err != nil {
			return err
		}
		t.want(first.code == killed, "the rollback was to be killed %s %s, and ended with %s", k.moment, k.record, first)
	}
	back, err := t.run(ctx, "rollback", "--yes", "-o", "json")
	if err != nil {
		return err
	}
	t.tell("rollback", "%s", seconds(back.took))
	if err := t.onBlueAsAtFirst(ctx, before); err != nil {
		return err
	}
	again, err := t.run(ctx, "run", "--yes", "-o", "json")
	if err != nil {
		return err
	}
	return t.arrive(ctx, again)
}

// onBlueAsAtFirst wants blue's objects and the names' records to be what they were, blue to accept writes, and every write
// that was accepted before to be there.
func (t *trial) onBlueAsAtFirst(ctx context.Context, before state) error {
	accepted := t.users.Report().Accepted(t.demo.Host("shop"))
	after, err := t.look(ctx)
	if err != nil {
		return err
	}
	mine := func(st state) state { return st.only("blue ", "zone ") }
	t.tell("blue", "%s before and %s after", mine(before).hash(), mine(after).hash())
	for _, d := range mine(after).differences(mine(before)) {
		t.want(false, "after the rollback: %.400s", d)
	}
	for _, host := range t.hosts() {
		if err := t.shows(ctx, host, "blue"); err != nil {
			return err
		}
	}
	if _, err := t.writes(ctx, "blue", time.Now(), 10); err != nil {
		return err
	}
	blue, err := t.store("blue")
	if err != nil {
		return err
	}
	v, err := load.Verify(ctx, accepted, func(ctx context.Context, key string) ([]byte, error) {
		return blue.read(ctx, t.demo.ShopBucket(), key)
	})
	if err != nil {
		return err
	}
	lost := slices.Concat(v.Lost, v.Unread)
	t.tell("lost after the rollback", "%d of %d", len(lost), v.Checked)
	for _, l := range lost[:min(3, len(lost))] {
		t.want(false, "lost by the rollback: %s: %s", l.Key, l.Reason)
	}
	return nil
}

// shows waits until every server leads to a side.
func (t *trial) shows(ctx context.Context, host, side string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for t.watch.where(host) != side {
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("wait until %s leads to %s; it leads to %s: %w", host, side, t.watch.where(host), err)
		}
	}
	return nil
}

// writes waits until a side has accepted so many writes since a time, and returns how many it has.
func (t *trial) writes(ctx context.Context, side string, since time.Time, n int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	begun := len(t.users.Report().Accepted(t.demo.Host("shop")))
	for {
		seen := 0
		for _, target := range t.users.Report().Targets {
			if s, ok := target.Sides[side]; ok && target.Target.Writes > 0 && s.Last.After(since) {
				seen = len(target.Accepted) - begun
			}
		}
		if seen >= n {
			return seen, nil
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return seen, fmt.Errorf("wait for %d writes on %s: %w", n, side, err)
		}
	}
}

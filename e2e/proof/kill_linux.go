package proof

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/crossfade-project/crossfade"
)

// A kill is a moment in the life of a record of the journal, at which the run is killed with SIGKILL.
type kill struct {
	name, moment, record string
}

// killPoints are spread over the phases of a run, the kinds of records, and the moments: before a record is written, when
// half of it is, and after.
func killPoints() []kill {
	return []kill{
		{"export", "after", `"kind":"intent","stage":"export"`},
		{"warm-sync", "torn", `"kind":"done","stage":"sync/shop","change":"sync/shop/sync"`},
		{"restore", "after", `"kind":"intent","stage":"restore","change":"restore/apps/Deployment`},
		{"ttl", "before", `"kind":"done","stage":"ttl"`},
		{"freeze", "before", `"kind":"done","stage":"freeze/shop"`},
		{"delta", "torn", `"kind":"planned","stage":"restore-delta/shop"`},
		{"final-sync", "before", `"kind":"finished","stage":"final-sync/shop"`},
		{"start", "after", `"kind":"intent","stage":"start/shop"`},
		{"swap", "before", `"kind":"done","stage":"swap/shop"`},
		{"soak", "torn", `"kind":"finished","stage":"soak/shop"`},
	}
}

func kills() []scenario {
	list := []scenario{{name: Unbroken, pace: usual(), play: func(ctx context.Context, t *trial) error {
		run, err := t.run(ctx, "run", "--yes", "-o", "json")
		if err != nil {
			return err
		}
		t.tell("run", "%s", seconds(run.took))
		return t.arrive(ctx, run)
	}}}
	for _, k := range killPoints() {
		list = append(list, scenario{name: "kill-" + k.name, pace: usual(), play: func(ctx context.Context, t *trial) error {
			return t.killed(ctx, k)
		}})
	}
	return list
}

// killed kills a run at a point, runs it again, and wants what an unbroken run leaves.
func (t *trial) killed(ctx context.Context, k kill) error {
	first, err := t.crossfade(ctx, fmt.Sprintf("kill %s %s", k.moment, k.record), "run", "--yes", "-o", "json")
	if err != nil {
		return err
	}
	t.want(first.code == killed, "the run was to be killed %s %s, and ended with %s", k.moment, k.record, first)
	records, err := t.records()
	if err != nil {
		return err
	}
	t.tell("killed at record", "%d", len(records))
	again, err := t.run(ctx, "run", "--yes", "-o", "json")
	if err != nil {
		return err
	}
	t.tell("second run", "%s", seconds(again.took))
	return t.arrive(ctx, again)
}

// arrive wants the end of a whole run: users served by green, and everything as an unbroken run leaves it.
func (t *trial) arrive(ctx context.Context, run ending) error {
	if err := t.settle(ctx, "green"); err != nil {
		return err
	}
	got, err := t.look(ctx)
	if err != nil {
		return err
	}
	t.tell("state", "%s", got.hash())
	// Objects are counted over all runs: a run that was killed has made its own.
	var report crossfade.Report
	if err := json.Unmarshal(run.stdout, &report); err != nil {
		return fmt.Errorf("read the report of the run: %w", err)
	}
	got["report objects created"] = fmt.Sprint(report.Objects.Created)
	if t.name == Unbroken {
		t.want(len(got) > 60, "only %d things were looked at", len(got))
		t.o.reference.set(got)
		return nil
	}
	want, err := t.o.reference.get(ctx)
	if err != nil {
		return err
	}
	differences := got.differences(want)
	for _, d := range differences[:min(5, len(differences))] {
		t.want(false, "not as after an unbroken run: %.400s", d)
	}
	return nil
}

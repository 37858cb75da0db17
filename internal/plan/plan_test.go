package plan_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/crossfade-project/crossfade/internal/plan"
)

func TestHashSurvivesTheDisk(t *testing.T) {
	p := plan.New("m", "restore")
	p.Add(plan.Change{ID: "a", Action: "create", Target: "x", Why: "y", Data: plan.JSON(map[string]string{"k": "<&>"}), Reverse: &plan.Reverse{Action: "delete", How: "z"}})
	raw, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var back plan.Plan
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if back.Hash() != p.Hash() {
		t.Error("the hash changed on the way over the disk")
	}
}

func TestRefusedPlanChangesNothing(t *testing.T) {
	p := plan.New("m", "restore")
	p.Add(plan.Change{ID: "a"})
	p.Refuse("claim data", "it would be lost", "say volumes: empty")
	p.Refuse("class fast", "green has none", "map it")
	var rec plan.MemoryRecorder
	err := plan.Run(context.Background(), p, &rec, plan.RunOptions{}, func(context.Context, plan.Change) (any, error) {
		t.Error("a change was made")
		return nil, nil
	})
	var refused *plan.RefusedError
	if !errors.As(err, &refused) || len(refused.Refusals) != 2 {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"claim data", "mend: say volumes: empty", "class fast"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from %q", want, err)
		}
	}
	if len(rec.Intents()) != 0 {
		t.Error("intents were recorded")
	}
}

func TestIntentComesBeforeTheChange(t *testing.T) {
	p := plan.New("m", "s")
	for _, id := range []string{"a", "b", "c", "d"} {
		p.Add(plan.Change{ID: id})
	}
	var rec plan.MemoryRecorder
	err := plan.Run(context.Background(), p, &rec, plan.RunOptions{Parallel: 3}, func(_ context.Context, c plan.Change) (any, error) {
		if _, ok := rec.Intents()[c.ID]; !ok {
			t.Errorf("%s was changed without an intent", c.ID)
		}
		return c.ID, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNothingBeginsAfterAFailure(t *testing.T) {
	p := plan.New("m", "s")
	for _, id := range []string{"a", "b", "c"} {
		p.Add(plan.Change{ID: id, Action: "create", Target: id})
	}
	var rec plan.MemoryRecorder
	var made atomic.Int32
	err := plan.Run(context.Background(), p, &rec, plan.RunOptions{}, func(_ context.Context, c plan.Change) (any, error) {
		made.Add(1)
		if c.ID == "b" {
			return nil, errors.New("boom")
		}
		return nil, nil
	})
	if err == nil || made.Load() != 2 {
		t.Fatalf("made %d, %v", made.Load(), err)
	}
	if !strings.HasPrefix(err.Error(), "create b: boom") {
		t.Errorf("the error does not name the change: %v", err)
	}
}

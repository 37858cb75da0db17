package plan_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
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

// batched counts the calls of Intend.
type batched struct {
	plan.MemoryRecorder
	mu    sync.Mutex
	calls [][]string
	full  error
}

func (b *batched) Intend(stage string, changes ...plan.Change) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	for _, c := range changes {
		ids = append(ids, c.ID)
	}
	b.calls = append(b.calls, ids)
	if b.full != nil {
		return b.full
	}
	return b.MemoryRecorder.Intend(stage, changes...)
}

// Creates share the flush of their intents, in bounded batches; a delete has its own, and nothing begins before its intent.
func TestCreatesShareTheirIntentsAndDeletesDoNot(t *testing.T) {
	p := plan.New("m", "s")
	for i := range 100 {
		p.Add(plan.Change{ID: fmt.Sprint("c", i), Action: "create"})
	}
	p.Add(plan.Change{ID: "d0", Action: "delete"})
	p.Add(plan.Change{ID: "d1", Action: "delete"})
	p.Add(plan.Change{ID: "e0", Action: "create"})
	p.Add(plan.Change{ID: "e1", Action: "create"})
	rec := &batched{}
	if err := rec.Succeed("s", "c3", nil); err != nil {
		t.Fatal(err)
	}
	opts := plan.RunOptions{Parallel: 4, Shares: func(c plan.Change) bool { return c.Action == "create" }}
	var made atomic.Int32
	err := plan.Run(context.Background(), p, rec, opts, func(_ context.Context, c plan.Change) (any, error) {
		if _, ok := rec.Intents()[c.ID]; !ok {
			t.Errorf("%s was changed without an intent", c.ID)
		}
		made.Add(1)
		return nil, nil
	})
	if err != nil || made.Load() != 103 {
		t.Fatalf("made %d, %v", made.Load(), err)
	}
	sizes := map[string]int{}
	for _, ids := range rec.calls {
		sizes[ids[0]] = len(ids)
	}
	want := map[string]int{"c0": 3, "c4": 64, "c68": 32, "d0": 1, "d1": 1, "e0": 2}
	if !maps.Equal(sizes, want) {
		t.Errorf("intents came as %v, want %v", sizes, want)
	}
	rec = &batched{full: errors.New("no space left")}
	err = plan.Run(context.Background(), p, rec, opts, func(context.Context, plan.Change) (any, error) {
		t.Error("a change was made without its intent")
		return nil, nil
	})
	if !errors.Is(err, rec.full) {
		t.Errorf("err = %v", err)
	}
}

// What several servers answered is one refusal on one line, without a sign for the ends of lines.
func TestARefusalOfSeveralLinesIsJoined(t *testing.T) {
	err := &plan.RefusedError{Stage: "ttl", Refusals: []plan.Refusal{{What: "shop", Why: "no server has it\nnone answers"}}}
	if got, want := err.Error(), "ttl is refused:\n  shop: no server has it; none answers"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

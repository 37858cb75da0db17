package plan_test

import (
	"encoding/json"
	"testing"

	"github.com/crossfade-project/crossfade/internal/plan"
)

// FuzzPlan: whatever a plan's file holds, what is read of it has one hash, also after it was written and read again, and a plan
// with refusals is not applied.
func FuzzPlan(f *testing.F) {
	p := plan.New("m", "swap/shop")
	p.Add(plan.Change{ID: "a", Action: "create", Target: "x", Why: "<&>", Data: plan.JSON(map[string]string{"k": "\u2028"}), Reverse: &plan.Reverse{Action: "delete"}})
	p.Refuse("what", "why", "mend")
	raw, err := json.Marshal(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"format":1,"changes":[{"id":"a","data":{"a":1e400,"a":2}}],"data":null}`))
	f.Add([]byte(`{"changes":[{"id":"\ud800","reverse":{"data":[ 1, 2 ]}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var read plan.Plan
		if json.Unmarshal(raw, &read) != nil {
			return
		}
		again, err := json.MarshalIndent(&read, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		var back plan.Plan
		if err := json.Unmarshal(again, &back); err != nil {
			t.Fatal(err)
		}
		if back.Hash() != read.Hash() {
			t.Fatalf("%s has another hash than %s", again, raw)
		}
		if (read.Err() != nil) != (len(read.Refusals) > 0) {
			t.Fatalf("%d refusals, and the error is %v", len(read.Refusals), read.Err())
		}
	})
}

package proof

import (
	"strings"
	"testing"
	"time"
)

func printed(t *testing.T, r *Report) string {
	t.Helper()
	var out strings.Builder
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTheReportSaysWhatIsWantingAndEndsWithTheSum(t *testing.T) {
	r := &Report{Title: "proof", Took: 90 * time.Second, Results: []Result{
		{Name: Unbroken},
		{Name: "kill-swap", Wanting: []string{"lost: load/1"}, Lost: 1, Figures: []Figure{{"second run", "3.0 s"}}},
	}}
	text := printed(t, r)
	for _, want := range []string{"NOT HELD", "second run 3.0 s", "kill-swap: lost: load/1\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	if !strings.HasSuffix(text, "\nproof: 2 scenarios, 1 held, in 1m30s\n") || r.OK() {
		t.Errorf("its end is not the sum, or it is well: %t\n%s", r.OK(), text)
	}
	r.Points = true
	if text := printed(t, r); !strings.HasSuffix(text, "\nproof: 1 points, 0 converged, in 1m30s\n") {
		t.Errorf("the unbroken run counts as a point:\n%s", text)
	}
}

func TestI08_NothingPlayedIsNotWell(t *testing.T) {
	if (&Report{}).OK() {
		t.Error("a report without results is well")
	}
}

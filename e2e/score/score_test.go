package score_test

import (
	"os"

	"github.com/crossfade-project/crossfade/e2e/score"
)

func ExamplePrint() {
	_ = score.Print(os.Stdout, "bench-cutover", []score.Verdict{
		{Text: "plan: wall 2.38 s, less than 10.00 s", Met: true},
		{Work: "small objects", Text: "wall 1.20 of mc's, at most 0.90"},
	})
	// Output:
	//
	// plan: wall 2.38 s, less than 10.00 s: met
	// small objects: wall 1.20 of mc's, at most 0.90: missed
	// bench-cutover: 1 of 2 targets met
}

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/plan"
)

func TestAPersonSeesTheWaveAndAnswers(t *testing.T) {
	for answer, want := range map[string]bool{"yes\n": true, "no\n": false, "": false} {
		var out bytes.Buffer
		p := newProgram("crossfade", strings.NewReader(answer), &out, &bytes.Buffer{})
		wave := plan.New("move", "wave/2")
		wave.Add(plan.Change{ID: "wave/2/shop", Action: "move", Target: "shop", Why: "shop.apps.test goes to green"})
		got, err := p.askApproval(t.Context(), crossfade.ApprovalRequest{Wave: 2, Plan: wave})
		if err != nil || got != want || !strings.Contains(out.String(), "shop.apps.test goes to green") || !strings.Contains(out.String(), wave.Hash()[:12]) {
			t.Errorf("%q: %t, %v, after\n%s", answer, got, err, out.String())
		}
	}
}

package crossfade

import (
	"errors"
	"slices"
	"testing"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// What a stage of a turn has planned is the way back: it is not forgotten while anything may go back.
func TestI06_AStageThatIsTheWayBackIsNotTakenAgain(t *testing.T) {
	m := opened(t, load(t, kinds))
	stages := m.pipeline()
	var bucket, freeze, swap, warm, soak string
	for _, s := range stages {
		switch {
		case s.bucket == "data" && s.turn == "":
			bucket = s.name
		case s.bucket == "data" && warm == "":
			warm = s.name
		case s.name == "freeze/writer":
			freeze = s.name
		case s.name == "swap/writer":
			swap = s.name
		case s.name == "soak/writer":
			soak = s.name
		}
		plans(t, m, s.name)
	}
	var refused *RefusedError
	for _, name := range []string{"ttl", bucket, warm, freeze, swap} {
		if name != "" && !errors.As(m.mayRedo(name, stages), &refused) {
			t.Errorf("%s is taken again", name)
		}
	}
	for _, name := range []string{"export", "restore", "preflight", soak} {
		if name == "" {
			continue // it has no hostname
		}
		if err := m.mayRedo(name, stages); err != nil {
			t.Error(err)
		}
	}
	if bucket == "" || warm == "" || freeze == "" {
		t.Errorf("the file has no such stages: %q %q %q", bucket, warm, freeze)
	}
	// Before the turn has begun there is nothing to go back from.
	m = opened(t, load(t, kinds))
	plans(t, m, "export", bucket, warm)
	for _, name := range []string{"export", bucket, warm} {
		if err := m.mayRedo(name, stages); err != nil {
			t.Error(err)
		}
	}
}

// A certificate tells of a blue that nobody uses. Once blue serves again it tells of nothing.
func TestI10_AReturnEndsWhatTheCertificateSays(t *testing.T) {
	m := opened(t, load(t, kinds))
	turn := m.turns()[0]
	finishes(t, m, "idle", "certificate")
	how := returning{Turn: turn.name, Cause: "its checks failed"}
	note(t, m, noteReturning, how)
	_ = m.finishReturn(t.Context(), how, errors.New(how.Cause))
	for _, name := range []string{"idle", "certificate"} {
		if m.journal.Stage(name).Finished {
			t.Errorf("%s is done before", name)
		}
	}
}

// A TTL stage whose plan was forgotten is known until the names have their TTLs back: by the next plan, and by a rollback.
func TestWhatAForgottenPlanOfTTLsDidIsKnown(t *testing.T) {
	m := opened(t, load(t, kinds))
	lower := func(token string) {
		t.Helper()
		p := plan.New(m.file.Name, "ttl")
		p.Add(plan.Change{ID: "ttl/lower/a.", Action: "lower the TTL of", Data: plan.JSON(map[string]any{
			"held": map[string]any{"name": "a.", "fence": zone.Fence{Name: "_f.", Token: token}},
		})})
		if err := m.journal.SavePlan(p); err != nil {
			t.Fatal(err)
		}
	}
	known := func(want ...string) {
		t.Helper()
		before, err := m.ttlsBefore(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range before.Fences {
			got = append(got, f.Token)
		}
		if !slices.Equal(got, want) || len(before.Held) != min(1, len(want)) {
			t.Errorf("known are %q, want %q; names %+v", got, want, before.Held)
		}
		log, err := m.log()
		if err != nil || pausesOrTTLs(log) != (len(want) > 0) {
			t.Errorf("a rollback has something to give back: %t, %v", pausesOrTTLs(log), err)
		}
	}
	known()
	lower("first")
	_ = m.again(stage{name: "ttl"}, &plan.MovedError{What: "records of b."})
	known("first")
	lower("second")
	known("first", "second")
	finishes(t, m, "return-ttl")
	known()
}

// A wave that the file does not have is said by a dry run as well.
func TestAWaveThatIsNotThereIsNotApproved(t *testing.T) {
	m := Inspect(load(t, kinds), Options{})
	for _, wave := range []int{0, -1, 99} {
		var unknown *UnknownError
		if _, err := m.Plan(t.Context(), RunOptions{Approve: []int{wave}}); !errors.As(err, &unknown) || unknown.Kind != "wave" {
			t.Errorf("wave %d: %v", wave, err)
		}
	}
}

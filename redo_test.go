package crossfade

import (
	"errors"
	"testing"
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

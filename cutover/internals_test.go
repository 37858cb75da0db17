package cutover

import (
	"context"
	"net/netip"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// MakeBrownOut makes the changes of a brown-out and does not undo them, as a process that is killed does.
func MakeBrownOut(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts BrownOutOptions) error {
	d, err := readBrownOut(p)
	if err == nil {
		_, err = opts.make(ctx, p, rec, d, opts.lookout())
	}
	return err
}

// AnswerAt is one request of our own at an entry.
func AnswerAt(ctx context.Context, hostname string, at netip.AddrPort) string {
	return Options{Migration: "move"}.answerAt(ctx, hostname, at, true)
}

// MakeForward makes changes of a forwarding and does not undo them when one fails, as a process that is killed does.
func MakeForward(ctx context.Context, p *plan.Plan, opts ForwardOptions) error {
	d, err := readForward(p)
	if err != nil {
		return err
	}
	return plan.Run(ctx, p, &plan.MemoryRecorder{}, opts.runOptions(), func(ctx context.Context, c plan.Change) (any, error) {
		return opts.makeForward(ctx, c, d, new(ForwardResult))
	})
}

// QuietBefore is what a brown-out asks of the samples before it.
func QuietBefore(opts BrownOutOptions) error { return opts.lookout().quietBefore() }

// The file may have a hostname in letters of its own: not found under its A-labels, its `switch: backend` would count for nothing.
func TestAHostnameIsFoundHoweverItIsWritten(t *testing.T) {
	app := migration.Application{Hostnames: []migration.Hostname{{Name: "Büro.apps.test", Switch: migration.SwitchBackend}}}
	if h := hostnameOf(app, "xn--bro-hoa.apps.test."); h.Switch != migration.SwitchBackend {
		t.Errorf("found %+v", h)
	}
	for _, other := range []string{"", "buro.apps.test.", "not a name"} {
		if sameName("Büro.apps.test", other) {
			t.Errorf("%q is another name", other)
		}
	}
}

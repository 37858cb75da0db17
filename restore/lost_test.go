package restore

import (
	"slices"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// A return may have begun because the archive was lost: green is stopped all the same, as a whole, or both sides would write.
func TestI07_GreenIsStoppedWithoutTheArchive(t *testing.T) {
	for name, dark := range map[string]migration.Dark{"scaled": migration.DarkScaled, "read-only": migration.DarkReadOnly} {
		t.Run(name, func(t *testing.T) {
			app := migration.Application{Dark: dark, Writes: migration.WritesNone}
			f := newFixture(t, "shop", app, runningApp)
			f.turn(t, f.plan(t), nil)
			f.start(t)
			with, err := PlanStop(t.Context(), f.opts)
			if err != nil {
				t.Fatal(err)
			}
			f.opts.Archive = nil
			if f.opts, err = WithoutArchive(t.Context(), f.opts); err != nil {
				t.Fatal(err)
			}
			without, err := PlanStop(t.Context(), f.opts)
			if err != nil || len(without.Refusals) > 0 {
				t.Fatalf("%v, %+v", err, without.Refusals)
			}
			if a, b := changesOf(with), changesOf(without); !slices.Equal(a, b) || len(a) == 0 {
				t.Fatalf("without the archive the stop is\n%v\nwant\n%v", b, a)
			}
			f.stop(t)
			if n, ok := digInt(f.get(t, "apps", "Deployment", "web"), "spec", "replicas"); dark == migration.DarkScaled && (!ok || n != 0) {
				t.Errorf("Deployment web has %d replicas", n)
			}
			if !digBool(f.get(t, "batch", "CronJob", "clock"), "spec", "suspend") {
				t.Error("CronJob clock fires")
			}
		})
	}
}

func changesOf(p *plan.Plan) []string {
	var out []string
	for _, c := range p.Changes {
		out = append(out, string(c.Action)+" "+c.ID+" "+c.App)
	}
	slices.Sort(out)
	return out
}

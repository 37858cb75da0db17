package e2e_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/e2e/demo"
	"github.com/crossfade-project/crossfade/e2e/rig"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/scaffold/scaffoldtest"
)

// draft is what init made of the demo, filled in, beside the demo's own file.
type draft struct{ made, own *crossfade.File }

// demosAnswers are what a person who knows the demo puts in the place of each mark. The paths are those of the rig.
func demosAnswers(keys string, azure string) [][2]string {
	answers := [][2]string{
		{"blue.helper", "registry.blue.test/crossfade:demo"},
		{"stores.new.provider", "azure"},
		{"stores.new.endpoint", azure},
		{"stores.new.region", scaffoldtest.Line},
		{"stores.new.account", "devstoreaccount1"},
		{"stores.new.accessKey", scaffoldtest.Line},
		{"stores.new.secretKey", "{file: " + filepath.Join(keys, "azure.key") + "}"},
		{"maps.registries.registry.blue.test", "registry.green.test"},
		{"applications[0].writes", "none"},
		{"applications[0].drain[0].http.pods.path", `"/admin/drain?replica=this"`},
		{"applications[2].freeze.enter[1].http.pods.path", `"/admin/read-only?replica=this"`},
		{"applications[2].freeze.leave[1].http.pods.path", `"/admin/read-write?replica=this"`},
		{"applications[2].freeze.probe.http.method", "PUT"},
		{"applications[2].freeze.probe.http.pods.path", "/items/crossfade-probe"},
		{"applications[2].drain[0].http.pods.path", `"/admin/drain?replica=this"`},
		{"zones[0].rfc2136.key", "crossfade"},
		{"zones[0].rfc2136.secret.file", filepath.Join(keys, "tsig.secret")},
		{"retirement.delete.namespaces[0]", "demo"},
	}
	for i := range 2 {
		at := fmt.Sprintf("buckets[%d].bind", i)
		answers = append(answers,
			[2]string{at + "[0].set.STORE_URL", `"az://{{account}}/{{bucket}}?endpoint={{endpoint}}"`},
			[2]string{at + "[1].set.STORE_ACCESS_KEY", `"{{account}}"`})
	}
	return answers
}

// lookAtDraft lets init look at the rig, and fills in what it marks.
func (w *world) lookAtDraft(ctx context.Context, r *rig.Rig, top, binary string) error {
	info := r.Info()
	path := filepath.Join(r.Dir, "draft.yaml")
	args := []string{
		"init", "-f", path, "--blue-kubeconfig", info.Side("blue").Kubeconfig, "--green-kubeconfig", info.Side("green").Kubeconfig,
		"--namespace", "demo", "--zone", "apps.test", "--resolver", info.Resolver, "--rehearsal",
	}
	if out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("crossfade init: %w\n%s", err, out)
	}
	for _, a := range demosAnswers(info.Keys, info.Azure) {
		if err := scaffoldtest.Fill(path, a[0], a[1]); err != nil {
			return err
		}
	}
	own, err := demo.MigrationFile(top, r)
	if err != nil {
		return err
	}
	if w.draft.own, err = crossfade.Load(own); err != nil {
		return err
	}
	w.draft.made, err = crossfade.Load(path)
	return err
}

// The file that init writes is the demo's own, once a person has filled in what it marks: in everything that decides what
// is moved, how it is frozen, bound, swapped and deleted.
func TestInitWritesTheDemosFileButForWhatItMarks(t *testing.T) {
	w := migrated(t)
	made, own := w.draft.made, w.draft.own
	same(t, "name, reason, rehearsal", []any{made.Name, made.Reason, made.Rehearsal}, []any{own.Name, own.Reason, own.Rehearsal})
	same(t, "blue's helper", made.Blue.Helper, own.Blue.Helper)
	for name, sides := range map[string][2]migration.Side{"blue": {made.Blue, own.Blue}, "green": {made.Green, own.Green}} {
		// Init looked as the administrator; the run is the operator's.
		same(t, "kubeconfig of "+name, filepath.Dir(made.Resolve(sides[0].Kubeconfig)), filepath.Dir(own.Resolve(sides[1].Kubeconfig)))
	}
	same(t, "buckets", bucketsOf(made), bucketsOf(own))
	same(t, "maps", made.Maps, own.Maps)
	same(t, "soak and idleness", []any{made.SoakFloor(), made.Cutover.TTL, made.Cutover.Breaches}, []any{own.SoakFloor(), own.Cutover.TTL, own.Cutover.Breaches})
	same(t, "what may be deleted", made.Retirement.Delete, own.Retirement.Delete)
	same(t, "zone", zoneOf(made), zoneOf(own))
	for _, want := range own.Applications {
		i := slices.IndexFunc(made.Applications, func(a migration.Application) bool { return a.Name == want.Name })
		if i < 0 {
			t.Errorf("application %s was not found", want.Name)
			continue
		}
		got := made.Applications[i]
		same(t, "application "+want.Name,
			[]any{got.Namespace, got.Selector, got.Wave, got.Hostnames, len(got.Buckets), got.Writes, got.Freeze, got.Drain},
			[]any{want.Namespace, want.Selector, want.Wave, want.Hostnames, len(want.Buckets), want.Writes, want.Freeze, want.Drain})
		if len(want.Checks) > 0 && len(got.Checks) == 0 {
			t.Errorf("application %s has no checks", want.Name)
		}
	}
	if len(made.Applications) != len(own.Applications) {
		t.Errorf("got %d applications, want %d", len(made.Applications), len(own.Applications))
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

// A bucketAt is a bucket as stores and objects are told of it, whatever the file calls it.
type bucketAt struct {
	from, to [5]string
	create   bool
	bind     map[string]map[string]string
}

func bucketsOf(f *crossfade.File) map[string]bucketAt {
	at := func(end migration.BucketEnd) [5]string {
		s := f.Stores[end.Store]
		return [5]string{s.Provider, s.Endpoint, s.Region, s.Account, end.Bucket}
	}
	out := map[string]bucketAt{}
	for _, b := range f.Buckets {
		one := bucketAt{from: at(b.From), to: at(b.To), create: b.Create, bind: map[string]map[string]string{}}
		for _, bind := range b.Bind {
			one.bind[bind.Kind+" "+bind.Namespace+"/"+bind.Name] = bind.Set
		}
		out[b.From.Bucket] = one
	}
	return out
}

func zoneOf(f *crossfade.File) []any {
	z := f.Zones[0]
	return []any{len(f.Zones), z.Name, z.RFC2136.Server, z.RFC2136.Key, z.RFC2136.Algorithm, f.Resolve(z.RFC2136.Secret.File), z.Resolvers}
}

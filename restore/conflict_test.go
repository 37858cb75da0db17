package restore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const twoObjects = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
data: {password: Y29ycmVjdC1ob3JzZQ==}`

func noRefusals(t *testing.T, p *plan.Plan) {
	t.Helper()
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
}

func refusedFor(t *testing.T, p *plan.Plan, texts ...string) {
	t.Helper()
	err := p.Err()
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("the refusals are %v, want one that says %q", err, text)
		}
	}
	for _, r := range p.Refusals {
		if r.Mend == "" {
			t.Errorf("%s is refused without a mend", r.What)
		}
	}
}

func (f *fixture) mode(t *testing.T) string {
	t.Helper()
	return digString(f.get(t, "", "ConfigMap", "settings"), "data", "mode")
}

func TestK21_ForeignObjectsAreDecidedByPolicy(t *testing.T) {
	const foreign = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {mode: foreign}"
	for _, tc := range []struct {
		policy  Policy
		refused bool
		mode    string
		ours    bool
	}{
		{"", true, "foreign", false},
		{Fail, true, "foreign", false},
		{Skip, false, "foreign", false},
		{Update, false, "blue", false},
		{Adopt, false, "blue", true},
	} {
		t.Run("policy "+string(tc.policy), func(t *testing.T) {
			f := newFixture(t, "shop", migration.Application{}, twoObjects)
			kubetest.Apply(t, f.c, f.ns, foreign)
			f.opts.Conflicts = tc.policy
			p := f.plan(t)
			if tc.refused {
				refusedFor(t, p, "ConfigMap "+f.ns+"/settings")
				if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, f.opts); err == nil {
					t.Error("a refused plan was applied")
				}
				f.absent(t, "", "Secret", "keys")
			} else {
				noRefusals(t, p)
				f.apply(t, p, &plan.MemoryRecorder{})
				f.apply(t, p, &plan.MemoryRecorder{}) // as after a kill before anything was recorded
			}
			live := kubetest.Get(t, f.c, "", "ConfigMap", f.ns, "settings")
			if f.mode(t) != tc.mode || ours(live, f.opts.Migration) != tc.ours {
				t.Errorf("its mode is %q and ours is %v, want %q and %v", f.mode(t), ours(live, f.opts.Migration), tc.mode, tc.ours)
			}
		})
	}
}

func TestK21_AForeignSecretIsNotOverwritten(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, twoObjects)
	kubetest.Apply(t, f.c, f.ns, "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {password: theirs}")
	f.opts.Conflicts = Adopt
	refusedFor(t, f.plan(t), "Secret "+f.ns+"/keys")
}

// killed is a recorder that forgets every outcome: each change looks as if the process had died before its record.
type killed struct{ plan.MemoryRecorder }

func (*killed) Succeed(string, string, json.RawMessage) error { return nil }

func TestK21_OnAResumeOurOwnWorkIsDoneAndAnotherOnesIsAConflict(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, runningApp)
	p := f.plan(t)
	f.apply(t, p, &killed{})
	before := f.get(t, "", "ConfigMap", "settings")
	rec := &plan.MemoryRecorder{}
	if res := f.apply(t, p, rec); res.Created != len(p.Changes) || res.Found != len(p.Changes) {
		t.Errorf("resumed after a kill: %+v, want all %d found, and counted as created", res, len(p.Changes))
	}
	if after := f.get(t, "", "ConfigMap", "settings"); digString(after, "metadata", "resourceVersion") != digString(before, "metadata", "resourceVersion") {
		t.Error("it was written twice")
	}
	if again := f.plan(t); len(again.Changes) != 0 {
		t.Errorf("planned again: %v", again.Changes)
	}
	// Somebody else's object under a planned name, made between the plan and the write.
	g := newFixture(t, "shop", migration.Application{}, twoObjects)
	p = g.plan(t)
	kubetest.Apply(t, g.c, g.ns, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {mode: foreign}")
	if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, g.opts); !errors.Is(err, plan.ErrMoved) {
		t.Errorf("a foreign object gives %v, want ErrMoved", err)
	}
	if g.mode(t) != "foreign" {
		t.Error("it was overwritten")
	}
}

func TestK21_TwoMigrationsDoNotTouchEachOther(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, twoObjects)
	f.restore(t)
	f.opts.Migration += "-other"
	refusedFor(t, f.plan(t), "migration "+strings.TrimSuffix(f.opts.Migration, "-other"))
}

// delta changes the archive to a later revision with these objects.
func (f *fixture) delta(t *testing.T, revision int, documents string) {
	t.Helper()
	f.opts.Archive = archived(t, revision, "shop", parse(t, "shop", documents)...)
	f.opts.Stage, f.opts.Only = "restore-delta/shop", []string{"shop"}
}

func TestI04_ADeltaBringsChangesAndDeletesOnlyWhatIsProvenGone(t *testing.T) {
	const service = "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {type: NodePort, selector: {app: shop}, ports: [{port: 80}]}"
	f := newFixture(t, "shop", migration.Application{Volumes: "empty"}, runningApp+service+`
---
apiVersion: v1
kind: ConfigMap
metadata: {name: gone}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {storageClassName: "", accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}`)
	f.restore(t)
	kubetest.Apply(t, f.c, f.ns, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}")
	before := f.get(t, "", "Service", "web")

	changed := strings.Replace(strings.Replace(runningApp+service, "mode: live", "mode: changed", 1), "replicas: 3", "replicas: 5", 1)
	changed = strings.Replace(changed, "{port: 80}", "{port: 80}, {name: b, port: 81}", 1)
	changed = strings.Replace(changed, "[{port: 80}", "[{name: a, port: 80}", 1)
	f.delta(t, 2, changed)
	unread := f.opts.Archive.(*memArchive)
	unread.index.Unread = []string{"dead.example.org/v1"}
	if p := f.plan(t); strings.Contains(fmt.Sprint(p.Changes), "ConfigMap/"+f.ns+"/gone") {
		t.Error("it is deleted although blue's listing was not complete")
	}
	unread.index.Unread = nil
	p, res := f.restore(t)
	if res.Updated != 2 || res.Deleted != 1 || res.Created != 0 {
		t.Errorf("the delta made %+v: %v", res, p.Changes)
	}
	if f.mode(t) != "changed" {
		t.Errorf("the mode is %q", f.mode(t))
	}
	f.isDark(t) // the delta keeps the dark state
	f.absent(t, "", "ConfigMap", "gone")
	f.get(t, "", "ConfigMap", "theirs")
	f.get(t, "", "PersistentVolumeClaim", "data")
	after := f.get(t, "", "Service", "web")
	if digString(before, "spec", "clusterIP") != digString(after, "spec", "clusterIP") || len(digList(after, "spec", "ports")) != 2 {
		t.Errorf("the Service is %v, was %v", after["spec"], before["spec"])
	}
	if again := f.plan(t); len(again.Changes) != 0 {
		t.Errorf("planned again: %v", again.Changes)
	}
	f.start(t)
	if n, _ := digInt(f.get(t, "apps", "Deployment", "web"), "spec", "replicas"); n != 5 {
		t.Errorf("started with %d replicas, want the delta's 5", n)
	}
}

func TestK10_FieldsThatCannotChangeAreRefusedBeforeAnythingIsWritten(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, runningApp)
	f.restore(t)
	f.delta(t, 2, strings.Replace(strings.Replace(runningApp, "serviceName: db", "serviceName: other", 1), "mode: live", "mode: changed", 1))
	refusedFor(t, f.plan(t), "StatefulSet "+f.ns+"/db", "updates to statefulset spec")
	if f.mode(t) != "live" {
		t.Error("something was written")
	}
}

func TestI03_WhatMovedSinceThePlanIsNotOverwritten(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, twoObjects)
	f.restore(t)
	f.delta(t, 2, strings.Replace(twoObjects, "mode: blue", "mode: changed", 1))
	p := f.plan(t)
	patch := []byte(`{"metadata":{"annotations":{"` + kube.AnnotationContent + `":"somebody"}},"data":{"mode":"theirs"}}`)
	if _, err := f.c.Typed.CoreV1().ConfigMaps(f.ns).Patch(t.Context(), "settings", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, f.opts); !errors.Is(err, plan.ErrMoved) {
		t.Errorf("the error is %v, want ErrMoved", err)
	}
	// The archive or the file changes between the plan and its application.
	g := newFixture(t, "shop", migration.Application{}, twoObjects)
	p = g.plan(t)
	g.opts.Binds = []migration.Bind{{Kind: "ConfigMap", Namespace: "shop", Name: "settings", Set: map[string]string{"mode": "bound"}}}
	if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, g.opts); !errors.Is(err, plan.ErrMoved) {
		t.Errorf("the error is %v, want ErrMoved", err)
	}
}

func TestI09_NoSecretAndNoHashOfOneInThePlan(t *testing.T) {
	const secret = "correct-horse"
	f := newFixture(t, "shop", migration.Application{}, twoObjects)
	f.opts.Binds = []migration.Bind{{Kind: "Secret", Namespace: "shop", Name: "keys", Set: map[string]string{"token": "battery-staple"}}}
	check := func(p *plan.Plan) {
		t.Helper()
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		hidden := []string{secret, "battery-staple", "Y29ycmVjdC1ob3JzZQ"}
		pl, err := newPlanner(context.Background(), f.opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range pl.cargo.items {
			if it.key.Kind == "Secret" {
				sum := sha256.Sum256([]byte(secret))
				hidden = append(hidden, it.hash, hex.EncodeToString(sum[:]), kube.Hash(it.blue))
			}
		}
		for _, text := range hidden {
			if strings.Contains(string(raw), text) {
				t.Errorf("the plan holds %q", text)
			}
		}
	}
	p := f.plan(t)
	check(p)
	f.apply(t, p, &plan.MemoryRecorder{})
	live := f.get(t, "", "Secret", "keys")
	if digString(live, "data", "token") != "YmF0dGVyeS1zdGFwbGU=" || digString(live, "data", "password") != "Y29ycmVjdC1ob3JzZQ==" {
		t.Error("the Secret is not as bound")
	}
	f.delta(t, 2, strings.Replace(twoObjects, "Y29ycmVjdC1ob3JzZQ", "Y29ycmVjdC1jb3c0cw", 1))
	p = f.plan(t)
	check(p)
	if len(p.Changes) != 1 {
		t.Fatalf("changes are %v", p.Changes)
	}
	f.apply(t, p, &killed{})
	f.apply(t, p, &plan.MemoryRecorder{})
	if got := digString(f.get(t, "", "Secret", "keys"), "data", "password"); got != "Y29ycmVjdC1jb3c0cw==" {
		t.Errorf("the Secret was not updated: %q", got)
	}
}

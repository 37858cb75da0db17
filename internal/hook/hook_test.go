package hook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/program/programtest"
)

func command(argv ...string) migration.Hook { return migration.Hook{Command: argv} }

func podHook(path string) migration.HTTPHook {
	return migration.HTTPHook{Pods: &migration.PodEndpoint{Port: 8080, Path: path}}
}

func TestCommandRunsWithoutAShellInItsFolderWithTheEnvironment(t *testing.T) {
	t.Setenv("HOOK_TEST", "inherited")
	dir := t.TempDir()
	var out bytes.Buffer
	if err := (hook.Runner{Dir: dir}).Export(t.Context(), command("printenv", "HOOK_TEST"), &out); err != nil || out.String() != "inherited\n" {
		t.Errorf("the program saw %q, %v", out.String(), err)
	}
	if _, err := (hook.Runner{Dir: dir}).Run(t.Context(), command("touch", "a; touch b")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a; touch b")); err != nil {
		t.Errorf("the argument did not arrive as it is: %v", err)
	}
	_, err := hook.Runner{}.Run(t.Context(), command("sh", "-c", "echo first >&2; echo the reason >&2; exit 3"))
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("a failed program gives %v", err)
	}
}

func TestACommandThatIsEndedLeavesNothingBehind(t *testing.T) {
	family := programtest.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := (hook.Runner{}).Run(ctx, command(family.Argv...)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it ended with %v", err)
	}
	family.Gone(t)
}

func TestPayloadsGoThroughPrograms(t *testing.T) {
	in := strings.Repeat("payload ", 10000)
	dir := t.TempDir()
	if err := (hook.Runner{Dir: dir}).Import(t.Context(), command("tee", "copy"), strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "copy"))
	if err != nil || string(raw) != in {
		t.Errorf("%d bytes arrived, %v", len(raw), err)
	}
}

func TestHTTPHookOfAURL(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = append(got, r.Method+" "+string(body))
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusConflict)
		}
	}))
	defer server.Close()
	secret := server.URL + "/x?token=hidden"
	if _, err := (hook.Runner{}).Run(t.Context(), migration.Hook{HTTP: &migration.HTTPHook{URL: secret, Body: "stop"}}); err != nil {
		t.Error(err)
	}
	if _, err := (hook.Runner{}).Run(t.Context(), migration.Hook{HTTP: &migration.HTTPHook{Method: "PUT", URL: secret, Expect: 409}}); err != nil {
		t.Error(err)
	}
	_, err := hook.Runner{}.Run(t.Context(), migration.Hook{HTTP: &migration.HTTPHook{Method: "PUT", URL: secret}})
	if !errors.Is(err, hook.ErrAnswer) || strings.Contains(err.Error(), "hidden") {
		t.Errorf("an unexpected status gives %v", err)
	}
	if !slices.Equal(got, []string{"POST stop", "PUT ", "PUT "}) {
		t.Errorf("the server was asked %q", got)
	}
	server.Close()
	if _, err := (hook.Runner{}).Run(t.Context(), migration.Hook{HTTP: &migration.HTTPHook{URL: secret}}); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a server that is gone gives %v", err)
	}
}

// app is a namespace with pods that the test plays.
func app(t *testing.T, names []string, answer func(w http.ResponseWriter, call kubetest.PodCall)) (hook.Runner, *kube.Client) {
	t.Helper()
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	for _, n := range names {
		kubetest.RunningPod(t, c, ns, n, map[string]string{"app": "shop"})
	}
	played := kubetest.WithPods(t, c, answer)
	return hook.Runner{Kube: played, Namespace: ns, Selector: "app=shop", Clock: clock.NewFake(time.Now())}, c
}

func TestEveryRunningPodIsAskedEvenOneThatBeganMeanwhile(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	var run hook.Runner
	var c *kube.Client
	run, c = app(t, []string{"a", "b"}, func(_ http.ResponseWriter, call kubetest.PodCall) {
		mu.Lock()
		defer mu.Unlock()
		if asked = append(asked, call.Pod); len(asked) == 1 {
			kubetest.RunningPod(t, c, run.Namespace, "late", map[string]string{"app": "shop"})
		}
	})
	kubetest.RunningPod(t, c, run.Namespace, "foreign", map[string]string{"app": "other"})
	h := podHook("/freeze")
	out, err := run.Run(t.Context(), migration.Hook{HTTP: &h})
	if err != nil || !slices.Equal(asked, []string{"a", "b", "late"}) || !slices.Equal(out.Asked, asked) {
		t.Errorf("asked were %v, the outcome says %v, %v", asked, out.Asked, err)
	}
}

func TestI08_NoPodToAskIsAnError(t *testing.T) {
	run, _ := app(t, nil, func(http.ResponseWriter, kubetest.PodCall) {})
	h := podHook("/freeze")
	if _, err := run.Run(t.Context(), migration.Hook{HTTP: &h}); !errors.Is(err, hook.ErrNoPods) {
		t.Errorf("a hook with nobody to ask gives %v", err)
	}
	if err := run.Probe(t.Context(), migration.Probe{HTTP: h, Refused: []int{503}}); !errors.Is(err, hook.ErrNoPods) {
		t.Errorf("a probe with nobody to ask gives %v", err)
	}
}

func TestProbeWantsARefusalOfEveryPod(t *testing.T) {
	status := map[string]int{"a": 503, "b": 503}
	run, c := app(t, []string{"a", "b"}, func(w http.ResponseWriter, call kubetest.PodCall) { w.WriteHeader(status[call.Pod]) })
	probe := migration.Probe{HTTP: podHook("/write"), Refused: []int{503}}
	if err := run.Probe(t.Context(), probe); err != nil {
		t.Errorf("refused by every pod: %v", err)
	}
	status["b"] = 200
	if err := run.Probe(t.Context(), probe); !errors.Is(err, hook.ErrAccepted) || !strings.Contains(err.Error(), "/b") {
		t.Errorf("accepted by b: %v", err)
	}
	status["b"] = 500
	if err := run.Probe(t.Context(), probe); !errors.Is(err, hook.ErrAnswer) {
		t.Errorf("an undeclared status: %v", err)
	}
	status["b"] = 503
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "starting", Labels: map[string]string{"app": "shop"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	if _, err := c.Typed.CoreV1().Pods(run.Namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := run.Probe(t.Context(), probe); err == nil || !strings.Contains(err.Error(), "starting") {
		t.Errorf("with a pod that starts and would not be frozen: %v", err)
	}
}

func TestI08_AnAnswerInThePodsSteadIsNoRefusal(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	kubetest.RunningPod(t, c, ns, "a", map[string]string{"app": "shop"})
	run := hook.Runner{Kube: c, Namespace: ns, Selector: "app=shop"}
	// The pod has no address, so the real API server answers with a failure of its own.
	every := make([]int, 0, 200)
	for code := 400; code < 600; code++ {
		every = append(every, code)
	}
	if err := run.Probe(t.Context(), migration.Probe{HTTP: podHook("/write"), Refused: every}); !errors.Is(err, kube.ErrPodUnreachable) {
		t.Errorf("the probe says %v", err)
	}
}

const nullable = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: modes.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {plural: modes, singular: mode, kind: Mode}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              limit: {type: integer, nullable: true}
              other: {type: integer, nullable: true}
              deep: {type: object, x-kubernetes-preserve-unknown-fields: true}`

func patched(t *testing.T) (hook.Runner, *kube.Client, migration.Hook) {
	t.Helper()
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	if _, err := c.ResourceFor(t.Context(), "example.org", "Mode"); errors.Is(err, kube.ErrNotServed) {
		kubetest.Apply(t, c, "", nullable)
		for range 1000 { // the server establishes it in its own time
			if _, err = c.ResourceFor(t.Context(), "example.org", "Mode"); err == nil {
				break
			}
		}
	}
	merge := map[string]any{"spec": map[string]any{
		"limit": uint64(0), "other": 0, "deep": map[string]any{"a": "new", "gone": nil, "more": map[string]any{"x": 1}},
	}}
	return hook.Runner{Kube: c, Namespace: ns}, c, migration.Hook{Patch: &migration.PatchHook{Group: "example.org", Kind: "Mode", Name: "m", Merge: merge}}
}

func mode(t *testing.T, c *kube.Client, ns string) string {
	t.Helper()
	raw, err := json.Marshal(kube.Canonical(kubetest.Get(t, c, "example.org", "Mode", ns, "m")).Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func makeMode(t *testing.T, c *kube.Client, ns string) string {
	t.Helper()
	kubetest.Apply(t, c, ns, "apiVersion: example.org/v1\nkind: Mode\nmetadata: {name: m}\nspec: {limit: null, deep: {a: old, gone: 7, kept: {y: 2.5}}}")
	before := mode(t, c, ns)
	if !strings.Contains(before, `"limit":null`) {
		t.Fatalf("the server does not keep null: %s", before)
	}
	return before
}

func TestK01_APatchIsUndoneWithAbsentAndNullToldApart(t *testing.T) {
	run, c, h := patched(t)
	before := makeMode(t, c, run.Namespace)
	out, err := run.Run(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if got := mode(t, c, run.Namespace); got == before || strings.Contains(got, "gone") {
		t.Errorf("the patch made %s", got)
	}
	raw, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	var stored hook.Outcome
	if err := json.Unmarshal(raw, &stored); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := run.Undo(t.Context(), h, stored); err != nil {
			t.Fatal(err)
		}
	}
	if got := mode(t, c, run.Namespace); got != before {
		t.Errorf("undone it is\n%s\nand was\n%s", got, before)
	}
}

func TestK02_APatchIsUndoneByWhatWasReadBeforeIt(t *testing.T) {
	run, c, h := patched(t)
	before := makeMode(t, c, run.Namespace)
	was, err := run.Before(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second after a kill that lost the outcome
		if _, err := run.Run(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	if err := run.Undo(t.Context(), h, was); err != nil {
		t.Fatal(err)
	}
	if got := mode(t, c, run.Namespace); got != before {
		t.Errorf("undone it is\n%s\nand was\n%s", got, before)
	}
}

func TestUndoRefusesToOverwriteWhatSomebodyElseSet(t *testing.T) {
	run, c, h := patched(t)
	makeMode(t, c, run.Namespace)
	out, err := run.Run(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	modes, err := c.ResourceFor(t.Context(), "example.org", "Mode")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.At(modes, run.Namespace).Patch(t.Context(), "m", types.MergePatchType, []byte(`{"spec":{"limit":9}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Undo(t.Context(), h, out); !errors.Is(err, plan.ErrMoved) {
		t.Errorf("the error is %v", err)
	}
}

func TestI09_APatchOfASecretIsRefused(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	kubetest.Apply(t, c, ns, "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {a: hidden}")
	h := migration.Hook{Patch: &migration.PatchHook{Kind: "Secret", Name: "keys", Merge: map[string]any{"stringData": map[string]any{"a": "b"}}}}
	if out, err := (hook.Runner{Kube: c, Namespace: ns}).Run(t.Context(), h); err == nil || len(out.Replaced) > 0 {
		t.Errorf("a Secret was patched and its fields kept: %+v", out)
	}
}

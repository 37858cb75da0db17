package cluster_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/e2e/rig/image"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/netns"
	"github.com/crossfade-project/crossfade/e2e/rig/process"
)

// images builds the sandbox image and one that serves HTTP on 8080.
func images(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	pause, web := filepath.Join(dir, "pause.tar"), filepath.Join(dir, "web.tar")
	if err := image.Build(t.Context(), pause, image.PauseSpec()); err != nil {
		t.Fatal(err)
	}
	spec := image.Spec{Tags: []string{"rig.test/hello:1", "rig.test/hello:2"}, Packages: []string{"./testdata/hello"}, Ports: []int{8080}}
	if err := image.Build(t.Context(), web, spec); err != nil {
		t.Fatal(err)
	}
	return []string{pause, web}
}

func TestFullClusterRunsAPodFromASelfBuiltImage(t *testing.T) {
	if testing.Short() {
		t.Skip("starts whole clusters")
	}
	if ok, reason := install.CanRun(); !ok {
		t.Skip(reason)
	}
	in, err := install.New(logger(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Debian(t.Context(), install.ClusterPackages()...); err != nil {
		t.Skip(err)
	}
	tars := images(t)
	for _, minor := range install.KubernetesMinors() {
		t.Run(minor, func(t *testing.T) { runOnePod(t, minor, in, tars) })
	}
}

func runOnePod(t *testing.T, minor string, in *install.Installer, tars []string) {
	network, err := netns.New(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := network.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if found := left(t, t.TempDir(), network.Name); len(found) > 0 {
			t.Errorf("left are %q", found)
		}
	}()
	space, err := network.Namespace(t.Context(), "node", 10)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c, err := cluster.Start(t.Context(), cluster.Options{
		Name: "node", Minor: minor, Dir: dir, Space: space, Images: tars, Installer: in, Log: logger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if found := left(t, dir, ""); len(found) > 0 {
			t.Errorf("left are %q", found)
		}
		if found := left(t, dir, network.Name); len(found) != 3 {
			t.Errorf("after the cluster's end, and before the network's, there are %q; want the network alone", found)
		}
	}()
	began := time.Now()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "hello"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "hello", Image: "rig.test/hello:2", Ports: []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 80}}}},
	}}
	pods := client(t, c).CoreV1().Pods("default")
	if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	err = process.WaitUntil(t.Context(), 20*time.Second, func(ctx context.Context) error {
		return get(ctx, "http://"+space.Address.String()+"/")
	})
	if err != nil {
		events, listErr := client(t, c).CoreV1().Events("default").List(t.Context(), metav1.ListOptions{})
		if listErr != nil {
			t.Fatal(err, listErr)
		}
		for _, event := range events.Items {
			t.Log(event.Reason, event.Message)
		}
		t.Fatal(err)
	}
	if found := left(t, dir, network.Name); !slices.ContainsFunc(found, func(s string) bool { return strings.HasSuffix(s, " /hello ") }) {
		t.Errorf("the pod's process is not among %q, so that the check at the end shows nothing", found)
	}
	t.Logf("the pod answered %s after it was applied", time.Since(began).Round(10*time.Millisecond))
	// The pod may answer before its status says that it runs.
	err = process.WaitUntil(t.Context(), time.Minute, func(ctx context.Context) error {
		logs, err := pods.GetLogs("hello", &corev1.PodLogOptions{}).DoRaw(ctx)
		if err == nil && !strings.Contains(string(logs), "served") {
			err = fmt.Errorf("logs are %q", logs)
		}
		return err
	})
	if err != nil {
		t.Errorf("read logs through the API server: %v", err)
	}
}

func get(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

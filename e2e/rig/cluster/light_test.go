package cluster_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/internal/leftovers"
)

func logger(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

func client(t *testing.T, c *cluster.Cluster) *kubernetes.Clientset {
	t.Helper()
	config, err := c.Config()
	if err != nil {
		t.Fatal(err)
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return clients
}

// left lists what belongs to the folder and the network, which may be empty.
func left(t *testing.T, dir, network string) []string {
	t.Helper()
	found, err := leftovers.Of(dir, network)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestLightServesTheVersionAndLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("starts API servers")
	}
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	for _, minor := range install.KubernetesMinors() {
		t.Run(minor, func(t *testing.T) {
			dir := t.TempDir()
			c, err := cluster.Light(t.Context(), cluster.LightOptions{Minor: minor, Dir: dir, Log: logger(t)})
			if err != nil {
				t.Fatal(err)
			}
			version, err := client(t, c).Discovery().ServerVersion()
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%s.%s", version.Major, version.Minor); got != minor || version.GitVersion != c.Version {
				t.Errorf("it says that it is %s (%s), want %s", got, version.GitVersion, minor)
			}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
			if _, err := client(t, c).CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
				t.Errorf("create a pod: %v", err)
			}
			if len(left(t, dir, "")) == 0 {
				t.Error("no process names the state folder while the cluster runs, so that the check below shows nothing")
			}
			if err := c.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			if found := left(t, dir, ""); len(found) > 0 {
				t.Errorf("left are %q", found)
			}
		})
	}
}

func TestLightWithControllersRemovesNamespaces(t *testing.T) {
	if testing.Short() {
		t.Skip("starts API servers")
	}
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	c, err := cluster.Light(t.Context(), cluster.LightOptions{Controllers: true, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Dir(c.Kubeconfig())); !os.IsNotExist(err) {
			t.Errorf("the temporary state folder is left: %v", err)
		}
	}()
	spaces := client(t, c).CoreV1().Namespaces()
	if _, err := spaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "gone"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	watch, err := spaces.Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=gone"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	if err := spaces.Delete(t.Context(), "gone", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for event := range watch.ResultChan() {
		if event.Type == "DELETED" {
			return
		}
	}
	t.Fatal("the namespace was not removed")
}

func TestLightWithNodesRunsPods(t *testing.T) {
	if testing.Short() {
		t.Skip("starts API servers")
	}
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	for _, minor := range install.KubernetesMinors() {
		t.Run(minor, func(t *testing.T) {
			dir := t.TempDir()
			c, err := cluster.Light(t.Context(), cluster.LightOptions{Minor: minor, Nodes: 1, Dir: dir, Log: logger(t)})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := c.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				if found := left(t, dir, ""); len(found) > 0 {
					t.Errorf("left are %q", found)
				}
			}()
			pods := client(t, c).CoreV1().Pods("default")
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
			if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			watch, err := pods.Watch(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer watch.Stop()
			deleted := false
			for event := range watch.ResultChan() {
				pod := event.Object.(*corev1.Pod)
				if event.Type == "DELETED" {
					return
				}
				if pod.Status.Phase == corev1.PodRunning && pod.Status.PodIP != "" && !deleted {
					deleted = true
					if err := pods.Delete(t.Context(), "p", metav1.DeleteOptions{}); err != nil {
						t.Fatal(err)
					}
				}
			}
			t.Fatal("the pod did not run, or did not go")
		})
	}
}

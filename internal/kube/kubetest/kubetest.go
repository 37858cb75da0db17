package kubetest

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/internal/kube"
)

// Variables that Main sets for the tests of its package.
const (
	envKubeconfig = "CROSSFADE_TEST_KUBECONFIG"
	envSkip       = "CROSSFADE_TEST_SKIP"
)

const startLimit = 15 * time.Minute

// Main starts one light cluster, runs the tests and returns their exit status. Where no cluster can be started on this
// machine, or with -short, the tests that Connect are skipped with the reason.
func Main(m *testing.M, opts cluster.LightOptions) int {
	flag.Parse()
	ok, reason := install.CanBuild()
	if testing.Short() {
		ok, reason = false, "starts an API server"
	}
	if !ok {
		return skipped(m, reason)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	c, err := cluster.Light(ctx, opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the tests' cluster:", err)
		return 1
	}
	code := 1
	if err = os.Setenv(envKubeconfig, c.Kubeconfig()); err == nil {
		code = m.Run()
	}
	if serr := c.Stop(context.Background()); serr != nil || err != nil {
		fmt.Fprintln(os.Stderr, "stop the tests' cluster:", err, serr)
		return 1
	}
	return code
}

func skipped(m *testing.M, reason string) int {
	if err := os.Setenv(envSkip, reason); err != nil {
		return 1
	}
	return m.Run()
}

// Connect returns a client with full rights, or skips the test.
func Connect(t testing.TB) *kube.Client {
	t.Helper()
	if os.Getenv(envKubeconfig) == "" {
		t.Skip("no API server: " + os.Getenv(envSkip))
	}
	c, err := kube.Connect(kube.Options{Kubeconfig: os.Getenv(envKubeconfig)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// As returns a client that acts as another user, who has only the rights that the test gives it.
func As(t *testing.T, c *kube.Client, user string) *kube.Client {
	t.Helper()
	cfg := rest.CopyConfig(c.Config)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user}
	other, err := kube.ForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// Namespace makes a namespace of the test's own.
func Namespace(t testing.TB, c *kube.Client) string {
	t.Helper()
	ns, err := c.Typed.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// Apply creates the objects of YAML documents, each in the namespace where it names none, and returns them as the server
// has them.
func Apply(t *testing.T, c *kube.Client, namespace, documents string) []*unstructured.Unstructured {
	t.Helper()
	var made []*unstructured.Unstructured
	for _, doc := range strings.Split(documents, "\n---\n") {
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &obj.Object); err != nil {
			t.Fatalf("read %s: %v", doc, err)
		}
		gvk := obj.GroupVersionKind()
		res, err := c.ResourceFor(t.Context(), gvk.Group, gvk.Kind)
		if err != nil {
			t.Fatal(err)
		}
		if res.Namespaced && obj.GetNamespace() == "" {
			obj.SetNamespace(namespace)
		}
		got, err := c.At(res.In(gvk.Version), obj.GetNamespace()).Create(t.Context(), obj, metav1.CreateOptions{})
		if err != nil {
			t.Fatalf("create %s %s: %v", gvk.Kind, obj.GetName(), err)
		}
		made = append(made, got)
	}
	return made
}

// Get reads one object.
func Get(t *testing.T, c *kube.Client, group, kind, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	res, err := c.ResourceFor(t.Context(), group, kind)
	if err != nil {
		t.Fatal(err)
	}
	obj, err := c.At(res, namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return obj
}

// RunningPod makes a pod that the API server believes to be running.
func RunningPod(t *testing.T, c *kube.Client, namespace, name string, labels map[string]string) *corev1.Pod {
	t.Helper()
	pod, err := c.Typed.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Status.Phase = corev1.PodRunning
	if pod, err = c.Typed.CoreV1().Pods(namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return pod
}

// PodCall is one request to a pod.
type PodCall struct {
	Namespace, Pod, Port string
	Method, Path, Body   string
	// Host is the request's, where it is not the server's own.
	Host string
}

var podPath = regexp.MustCompile(`^/api/v1/namespaces/([^/]+)/pods/([^/:]+):(\d+)/proxy(/.*)$`)

// WithPods returns a client of the same API server, in which answer plays the pods: it gets every request that goes to one.
func WithPods(t *testing.T, c *kube.Client, answer func(w http.ResponseWriter, call PodCall)) *kube.Client {
	t.Helper()
	target, err := url.Parse(c.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = transport
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := podPath.FindStringSubmatch(r.URL.Path)
		if m == nil {
			proxy.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read a request to a pod: %v", err)
		}
		call := PodCall{Namespace: m[1], Pod: m[2], Port: m[3], Method: r.Method, Path: m[4], Body: string(body)}
		if at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr); at == nil || r.Host != at.String() {
			call.Host = r.Host
		}
		answer(w, call)
	}))
	t.Cleanup(server.Close)
	client, err := kube.ForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

package rig_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/e2e/rig"
	"github.com/crossfade-project/crossfade/e2e/rig/image"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/internal/leftovers"
	"github.com/crossfade-project/crossfade/e2e/rig/process"
)

const hello = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: hello, namespace: default}
spec:
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec: {containers: [{name: hello, image: REGISTRY/hello:1}]}
---
apiVersion: v1
kind: Service
metadata: {name: hello, namespace: default}
spec: {type: LoadBalancer, selector: {app: hello}, ports: [{port: 80, targetPort: 8080}]}
`

func needRig(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts two whole clusters")
	}
	if ok, reason := install.CanRun(); !ok {
		t.Skip(reason)
	}
}

func logger(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

func kubectl(ctx context.Context, side *rig.Side, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, side.Cluster.Kubectl(), append([]string{"--kubeconfig", side.Cluster.Kubeconfig()}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("kubectl %v: %w: %s", args, err, out)
	}
	return string(out), err
}

func body(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(response.Body)
	return string(content), errors.Join(err, response.Body.Close())
}

// serveHello runs an application on one side and asks it through its load balancer's address.
func serveHello(ctx context.Context, t *testing.T, r *rig.Rig, side *rig.Side) {
	began := time.Now()
	if _, err := kubectl(ctx, side, strings.ReplaceAll(hello, "REGISTRY", side.Registry()), "apply", "-f", "-"); err != nil {
		t.Error(err)
		return
	}
	var address, answer string
	err := process.WaitUntil(ctx, time.Minute, func(ctx context.Context) error {
		var err error
		address, err = kubectl(ctx, side, "", "get", "service", "hello", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
		if err == nil {
			answer, err = body(ctx, "http://"+address+"/")
		}
		return err
	})
	if err != nil || !strings.HasPrefix(answer, "hello from hello-") {
		t.Errorf("%s answered %q, %v", side.Name, answer, err)
		return
	}
	t.Logf("%s answered at load balancer %s, %s after its objects were applied", side.Name, address, time.Since(began).Round(10*time.Millisecond))
	found, err := body(ctx, "http://"+address+"/lookup/happy-bandit.apps.test")
	if want := "[" + r.Network.Address(100).String() + "] <nil>\n"; err != nil || found != want {
		t.Errorf("a pod on %s looks a name up and gets %q, %v, want %q", side.Name, found, err, want)
	}
	name, err := kubectl(ctx, side, "", "get", "service", "hello", "-o", "jsonpath={.status.loadBalancer.ingress[0].hostname}")
	if want := "hello.default." + side.Name + ".lb.test"; err != nil || name != want {
		t.Errorf("the load balancer is called %q, %v, want %s", name, err, want)
	}
}

// askDemo asks an application of the demo as a user does: by its name, through the resolver.
func askDemo(ctx context.Context, t *testing.T, r *rig.Rig, host string) {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, r.Names.Resolver.Addr().String())
	}}
	name := host + ".apps.test."
	alias, err := resolver.LookupCNAME(ctx, name)
	if want := host + ".demo.blue.lb.test."; err != nil || alias != want {
		t.Errorf("%s is an alias of %q, %v, want %q", name, alias, err, want)
	}
	addresses, err := resolver.LookupHost(ctx, name)
	if err != nil || len(addresses) != 1 {
		t.Errorf("%s is at %v, %v", name, addresses, err)
		return
	}
	answer, err := body(ctx, "http://"+addresses[0]+"/")
	if err != nil || !strings.Contains(answer, host) || !strings.Contains(answer, "on blue") {
		t.Errorf("%s answered %q, %v", name, answer, err)
	}
}

func helloImage() rig.Image {
	return rig.Image{Name: "hello:1", Spec: image.Spec{
		Packages: []string{"github.com/crossfade-project/crossfade/e2e/rig/cluster/testdata/hello"}, Ports: []int{8080},
	}}
}

func TestTwoClustersServeAtLoadBalancersAndLeaveNothing(t *testing.T) {
	needRig(t)
	dir := filepath.Join(t.TempDir(), "rig")
	r, err := rig.Up(t.Context(), rig.Options{Dir: dir, Demo: true, Images: []rig.Image{helloImage()}, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		// A second time does nothing, and a failed test leaves nothing.
		if err := r.Down(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	for _, host := range rig.DemoHosts() {
		askDemo(t.Context(), t, r, host)
	}
	for _, side := range []*rig.Side{r.Blue, r.Green} {
		serveHello(t.Context(), t, r, side)
	}
	if _, err := rig.Up(t.Context(), rig.Options{Dir: dir}); !errors.Is(err, rig.ErrRunning) {
		t.Errorf("a second rig in the same folder: %v, want %v", err, rig.ErrRunning)
	}
	if err := rig.Clean(t.Context(), dir); !errors.Is(err, rig.ErrRunning) {
		t.Errorf("cleaning a rig that runs: %v, want %v", err, rig.ErrRunning)
	}
	if err := r.Failure(); err != nil {
		t.Error(err)
	}
	if running, err := leftovers.Of(dir, r.Network.Name); err != nil || len(running) < 20 {
		t.Errorf("the check below would find %q, %v; want all of the rig", running, err)
	}
	began := time.Now()
	if err := r.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("it went down in %s", time.Since(began).Round(10*time.Millisecond))
	left, err := leftovers.Of(dir, r.Network.Name)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left are %q", left)
	}
	if err := rig.Clean(t.Context(), dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state folder is left: %v", err)
	}
}

func TestAFolderWithOtherFilesIsRefusedAndLeftAlone(t *testing.T) {
	needRig(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(file, []byte("years of work"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := rig.Up(t.Context(), rig.Options{Dir: dir}); err == nil {
		t.Error("a folder with other files was taken")
	}
	if err := rig.Clean(t.Context(), dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

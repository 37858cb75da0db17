package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/e2e/rig"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/internal/journal"
)

// oldHost is the namespace of the application that moves, and the migration's name.
const oldHost = "oldhost"

// An oldClient has blue's address written down, and connects to it for each request.
type oldClient struct {
	stop  context.CancelFunc
	ended chan struct{}

	mu     sync.Mutex
	sides  []string // that answered, one after the other
	failed []string
}

func letOldClient(ctx context.Context, address, host string) *oldClient {
	ctx, stop := context.WithCancel(ctx)
	c := &oldClient{stop: stop, ended: make(chan struct{})}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(address, "80"))
		},
	}}
	go func() {
		defer close(c.ended)
		for ctx.Err() == nil {
			c.ask(ctx, client, host)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return c
}

func (c *oldClient) ask(ctx context.Context, client *http.Client, host string) {
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, "http://"+host+"/", nil)
	if err != nil {
		panic(err)
	}
	resp, err := client.Do(req)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed = append(c.failed, err.Error())
		return
	}
	_ = resp.Body.Close()
	side := resp.Header.Get("X-Side")
	if resp.StatusCode != http.StatusOK {
		c.failed = append(c.failed, side+": "+resp.Status)
	}
	if len(c.sides) == 0 || c.sides[len(c.sides)-1] != side {
		c.sides = append(c.sides, side)
	}
}

// leave sends the client home, and says what it has seen.
func (c *oldClient) leave() (sides, failed []string) {
	c.stop()
	<-c.ended
	return c.sides, c.failed
}

// C24: on real clusters, with real pods. A client that has blue's address written down is passed on to green without one failure, and holds
// up the retirement, by name. When it has left, blue is idle, refuses everybody, answers again, is certified and retired: what the
// migration itself asks at blue's entry meanwhile is no use of blue.
func TestC24_OldHostsAreForwardedBrownedOutAndRetired(t *testing.T) {
	if testing.Short() {
		t.Skip("it plays a whole migration on two clusters")
	}
	if ok, reason := install.CanRun(); !ok {
		t.Skip(reason)
	}
	ctx, stop := context.WithTimeout(t.Context(), 25*time.Minute)
	defer stop()
	dir := t.TempDir()
	top, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "crossfade")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/crossfade")
	build.Dir, build.Env = top, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the command: %v\n%s", err, out)
	}
	r, err := rig.Up(ctx, rig.Options{Dir: filepath.Join(dir, "rig"), Demo: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	bandits := rig.Bandits{Namespace: oldHost, TTLs: []uint32{2}}
	if err := r.Info().DeployBandits(ctx, bandits); err != nil {
		t.Fatal(err)
	}
	file := oldHostFile(t, top, dir, r, bandits)
	if err := r.Info().Grant(ctx, binary, file); err != nil {
		t.Fatal(err)
	}
	blue, err := r.Blue.Client()
	if err != nil {
		t.Fatal(err)
	}
	entry, err := r.Info().Side("blue").Balancer(ctx, oldHost, bandits.App(0))
	if err != nil {
		t.Fatal(err)
	}
	client := letOldClient(ctx, entry.IP, bandits.Host(0))
	run := exec.CommandContext(ctx, binary, "run", "-f", file, "--yes")
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = time.Minute
	run.Stdout, run.Stderr = t.Output(), t.Output()
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()

	name := cutover.ForwardEvidenceName(bandits.App(0))
	var seen []string
	for len(seen) < 3 {
		select {
		case err := <-ended:
			client.leave()
			t.Fatalf("the run ended while a client was still there: %v", err)
		case <-time.After(time.Second):
		}
		seen = usesIn(t, dir, name)
	}
	sides, failed := client.leave()
	if len(failed) > 0 || len(sides) != 2 || !strings.Contains(sides[0], "blue") || !strings.Contains(sides[1], "green") {
		t.Errorf("the client was answered by %v, and %d requests failed: %v", sides, len(failed), failed[:min(len(failed), 5)])
	}
	left := time.Now()
	if err := <-ended; err != nil {
		t.Fatalf("crossfade run: %v", err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "state", "certificate.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cert cutover.Certificate
	if err := json.Unmarshal(raw, &cert); err != nil {
		t.Fatal(err)
	}
	if b := cert.BrownOut; b == nil || len(b.Knocked) != 1 || len(b.Services) != 1 {
		t.Errorf("the brown-out in the certificate: %+v", b)
	}
	for _, again := range cert.Idle.Restarts {
		if again.At.After(left.Add(15 * time.Second)) {
			t.Errorf("the time began again when nobody came: %+v", again)
		}
	}
	out, err := exec.CommandContext(ctx, binary, "audit", "-f", file).CombinedOutput()
	if err != nil {
		t.Errorf("crossfade audit: %v\n%s", err, out)
	}
	out, err = exec.CommandContext(ctx, binary, "retire", "-f", file, "--confirm", oldHost).CombinedOutput()
	if err != nil {
		t.Fatalf("crossfade retire: %v\n%s", err, out)
	}
	remain, err := blue.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: "crossfade.dev/front"})
	if err != nil || len(remain.Items) > 0 {
		t.Errorf("%d Deployments of ours are left on blue, %v", len(remain.Items), err)
	}
}

// usesIn are the texts of the looks at which one kind of evidence saw a use.
func usesIn(t *testing.T, dir, evidence string) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "state", "journal.jsonl"))
	if err != nil {
		return nil // it is not begun
	}
	var list []string
	for text := range strings.Lines(string(raw)) {
		var line struct {
			Record journal.Record `json:"record"`
		}
		var s cutover.Sample
		if json.Unmarshal([]byte(text), &line) != nil || line.Record.Stage != "idle-sample" || json.Unmarshal(line.Record.Data, &s) != nil {
			continue
		}
		if i := slices.IndexFunc(s.Observations, func(o cutover.Observation) bool { return o.Evidence == evidence }); i >= 0 && s.Observations[i].Use == cutover.Used {
			list = append(list, s.Observations[i].Text)
		}
	}
	return list
}

// oldHostFile writes the migration file: the demo's, with one application that forwards, and a brown-out.
func oldHostFile(t *testing.T, top, dir string, r *rig.Rig, b rig.Bandits) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(top, "examples/demo/migration.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(r.Info().Localize(string(raw)), "../../.rig/", r.Dir+"/")), &file); err != nil {
		t.Fatal(err)
	}
	delete(file, "stores")
	delete(file, "buckets")
	file["name"] = oldHost
	file["archive"].(map[string]any)["url"] = filepath.Join(dir, "archive")
	file["state"] = map[string]any{"directory": filepath.Join(dir, "state")}
	file["rehearsal"] = map[string]any{"soak": "2s", "idle": "10s"}
	file["cutover"] = map[string]any{"ttl": "2s", "margin": "1s", "interval": "1s", "breaches": 2, "maxShare": 100}
	file["retirement"] = map[string]any{
		"idle": "10s", "interval": "2s", "brownOut": map[string]any{"for": "10s"}, "delete": map[string]any{"namespaces": []any{oldHost}},
	}
	file["applications"] = []any{map[string]any{
		"name": b.App(0), "namespace": oldHost, "selector": "app=" + b.App(0), "wave": 1, "writes": "none", "dark": "read-only",
		"hostnames": []any{map[string]any{"name": b.Host(0), "service": b.App(0), "port": 80}},
		"checks":    []any{map[string]any{"name": "page", "http": map[string]any{"scheme": "http", "path": "/", "contains": "happy-bandit", "sameAsBlue": true}}},
		"forward":   map[string]any{"way": "pod"},
		"requests":  map[string]any{"pods": map[string]any{"port": 8080, "path": "/requests?replica=this"}, "field": "requests"},
	}}
	out, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "migration.yaml")
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(fmt.Errorf("write the migration file: %w", err))
	}
	return path
}

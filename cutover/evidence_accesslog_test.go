package cutover_test

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// logSince answers as a kubelet does: with lines from a second on, and cut off at a number of bytes.
func logSince(lines []string, query url.Values) string {
	var out strings.Builder
	for _, line := range lines {
		stamp, _, _ := strings.Cut(line, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		since, sinceErr := time.Parse(time.RFC3339, query.Get("sinceTime"))
		if err != nil || sinceErr != nil || !at.Before(since) {
			out.WriteString(line + "\n")
		}
	}
	text := out.String()
	if limit, err := strconv.Atoi(query.Get("limitBytes")); err == nil && len(text) > limit {
		text = text[:limit]
	}
	return text
}

// logRig is an ingress controller whose log somebody writes, one line a second of the node's own clock, which is an hour off.
type logRig struct {
	*api
	at time.Time
}

func newLogRig(a *api) *logRig {
	a.logs = map[string][]string{}
	return &logRig{api: a, at: time.Date(2026, 11, 22, 9, 0, 0, 5, time.UTC)}
}

func (r *logRig) write(pod, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = r.at.Add(time.Second)
	r.logs[pod] = append(r.logs[pod], r.at.Format(time.RFC3339Nano)+" "+line)
}

func (r *logRig) asked(pod, client, host string) {
	r.write(pod, fmt.Sprintf(`[%s] "GET / HTTP/1.1" 200 - 0 612 3 2 "%s" "curl/8.5" "0e7c" "%s" "10.1.0.7:80"`, r.at.Format(time.RFC3339), client, host))
}

func (r *logRig) rotate(pod string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logs[pod] = nil
}

func (r *logRig) restart(pod string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logs[pod] = nil
	r.pods[pod].Status.ContainerStatuses = append([]corev1.ContainerStatus{{Name: "controller", RestartCount: 1}}, r.pods[pod].Status.ContainerStatuses...)
}

func (r *logRig) sidecar(pod string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pods[pod].Status.ContainerStatuses = append(r.pods[pod].Status.ContainerStatuses, corev1.ContainerStatus{Name: "sidecar", RestartCount: 3})
}

func (r *logRig) evidence(t *testing.T) (cutover.AccessLogEvidence, *clock.Fake) {
	t.Helper()
	c := clock.NewFake(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	return cutover.AccessLogEvidence{
		Log:       migration.AccessLog{Format: "envoy", Namespace: "demo", Selector: "app=shop", Container: "controller"},
		Hostnames: []string{"shop.example.org"}, Namespaces: []string{"shop"}, Clock: c, Ignore: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	}, c
}

// A single request within hours blocks the retirement; probes, other names and what was there before do not.
func TestC24_ARequestInAnAccessLogIsAUse(t *testing.T) {
	a, client := startAPI(t)
	r := newLogRig(a)
	evidence, c := r.evidence(t)
	evidence.Kube = client
	var last cutover.Observation
	for _, step := range []struct {
		name  string
		setup func()
		want  cutover.Use
		reach bool // the look reaches back to the last one, or
		lost  string
	}{
		{"the first look: what came before it is none", func() { r.pod("one", "u1", ""); r.asked("one", "198.51.100.7", "shop.example.org") }, cutover.Quiet, false, ""},
		{"nothing new", func() {}, cutover.Quiet, true, ""},
		{"a request", func() { r.asked("one", "198.51.100.7", "Shop.example.org:443") }, cutover.Used, true, ""},
		{"which counts once", func() {}, cutover.Quiet, true, ""},
		{"a probe", func() { r.asked("one", "192.0.2.9", "shop.example.org") }, cutover.Quiet, true, ""},
		{"another name", func() { r.asked("one", "198.51.100.7", "other.example.org") }, cutover.Quiet, true, ""},
		{"a name that ends like it", func() { r.asked("one", "198.51.100.7", "my-shop.example.org") }, cutover.Quiet, true, ""},
		{"the controller itself", func() {
			r.write("one", "[2026-11-22 10:11:12.000][1][info][main] [source/server/server.cc:978] all dependencies initialized")
		}, cutover.Quiet, true, ""},
		{"a client that nobody told of", func() { r.asked("one", "-", "shop.example.org") }, cutover.Used, true, ""},
		{"a new pod", func() { r.pod("two", "u2", ""); r.asked("two", "198.51.100.7", "other.example.org") }, cutover.Quiet, true, ""},
		{"a new pod that was asked before it was looked at", func() { r.pod("three", "u3", ""); r.asked("three", "198.51.100.7", "shop.example.org") }, cutover.Used, true, ""},
		{"a log that was cut off", func() { r.rotate("one"); r.asked("one", "198.51.100.7", "other.example.org") }, cutover.Quiet, false, "the log of pod one was rotated"},
		{"a log that was cut off and has nothing new", func() { r.rotate("two") }, cutover.Quiet, false, "the log of pod two was rotated"},
		{"which is said once", func() {}, cutover.Quiet, true, ""},
		{"its first line after that", func() { r.asked("two", "198.51.100.7", "shop.example.org") }, cutover.Used, true, ""},
		{"a controller that began again", func() { r.restart("one"); r.asked("one", "198.51.100.7", "other.example.org") }, cutover.Quiet, false, "pod one began again"},
		{"one that began again and logs nothing", func() { r.restart("two") }, cutover.Quiet, false, "pod two began again"},
		{"which is said once too", func() {}, cutover.Quiet, true, ""},
		{"another container of the pod began again", func() { r.sidecar("one") }, cutover.Quiet, true, ""},
		{"a pod less", func() { r.drop("three") }, cutover.Quiet, false, "the pod with uid u3 is gone"},
	} {
		step.setup()
		if err := c.Sleep(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		obs, err := evidence.Collect(t.Context(), last)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if obs.Use != step.want {
			t.Errorf("%s: %s, want %s: %s %v", step.name, obs.Use, step.want, obs.Text, obs.Details)
		}
		if reach := !last.At.IsZero() && obs.From.Equal(last.At); reach != step.reach {
			t.Errorf("%s: reaches back to %s, last look at %s; want %t", step.name, obs.From, last.At, step.reach)
		}
		if !strings.HasPrefix(obs.Lost, step.lost) || (step.lost == "") != (obs.Lost == "") {
			t.Errorf("%s: lost %q, want %q", step.name, obs.Lost, step.lost)
		}
		last = obs
	}
}

// A name counts in whatever form the file and the client write it, and a wildcard for each name that it answers for, but for one that
// stays at blue.
func TestC24_ARequestForAWildcardOrAnInternationalNameIsAUse(t *testing.T) {
	a, client := startAPI(t)
	r := newLogRig(a)
	evidence, _ := r.evidence(t)
	evidence.Kube = client
	evidence.Hostnames = []string{"*.Shop.example.org.", "Bücher.example.org", "xn--caf-dma.example.org"}
	evidence.Stay = []string{"stays.shop.example.org"}
	r.pod("one", "u1", "")
	r.asked("one", "198.51.100.7", "other.example.org")
	last, err := evidence.Collect(t.Context(), cutover.Observation{})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]cutover.Use{
		"a.shop.example.org":              cutover.Used,
		"A.Shop.Example.org.:8443":        cutover.Used,
		"deep.a.shop.example.org":         cutover.Used,
		"*.shop.example.org":              cutover.Used,
		"shop.example.org":                cutover.Quiet,
		"myshop.example.org":              cutover.Quiet,
		"Stays.shop.example.org:443":      cutover.Quiet,
		"xn--bcher-kva.example.org":       cutover.Used,
		"XN--BCHER-KVA.example.org.":      cutover.Used,
		"bücher.example.org:443":          cutover.Used,
		"BÜCHER.example.org":              cutover.Used,
		"café.example.org":                cutover.Used,
		"bucher.example.org":              cutover.Quiet,
		"[2001:db8::1]:443":               cutover.Quiet,
		"no name at all..shop.example.or": cutover.Quiet,
	} {
		r.asked("one", "198.51.100.7", host)
		if last, err = evidence.Collect(t.Context(), last); err != nil || last.Use != want {
			t.Errorf("%q: %s, %v, want %s: %s", host, last.Use, err, want, last.Text)
		}
	}
}

// Where a log tells no name of a host, the namespace in its backend does.
func TestC24_ALogWithoutHostsIsJudgedByItsBackends(t *testing.T) {
	a, client := startAPI(t)
	r := newLogRig(a)
	evidence, _ := r.evidence(t)
	evidence.Kube, evidence.Log.Format = client, "ingress-nginx"
	line := func(backend string) string {
		return `198.51.100.7 - - [22/Nov/2026:10:11:12 +0000] "GET / HTTP/1.1" 200 612 "-" "curl/8.5" 94 0.003 [` + backend + `] [] 10.1.0.7:8080 612 0.003 200 5f0c`
	}
	r.pod("one", "u1", "")
	r.write("one", line("other-web-80"))
	last, err := evidence.Collect(t.Context(), cutover.Observation{})
	if err != nil {
		t.Fatal(err)
	}
	for backend, want := range map[string]cutover.Use{"other-web-80": cutover.Quiet, "": cutover.Quiet, "upstream-default-backend": cutover.Quiet, "shop-crossfade-front-80": cutover.Quiet, "shop-web-80": cutover.Used} {
		r.write("one", line(backend))
		if last, err = evidence.Collect(t.Context(), last); err != nil || last.Use != want {
			t.Errorf("%q: %s, %v, want %s: %s", backend, last.Use, err, want, last.Text)
		}
	}
}

func TestI08_AnAccessLogThatSaysNothingIsNoEvidence(t *testing.T) {
	for name, setup := range map[string]func(*logRig){
		"no pods": func(*logRig) {},
		"no line": func(r *logRig) { r.pod("one", "u1", "") },
		"no request": func(r *logRig) {
			r.pod("one", "u1", "")
			r.write("one", "[2026-11-22 10:11:12.000][1][info][main] begun")
		},
		"another form": func(r *logRig) { r.pod("one", "u1", ""); r.write("one", `198.51.100.7 - - "GET / HTTP/1.1" 200`) },
		"a broken line": func(r *logRig) {
			r.pod("one", "u1", "")
			r.asked("one", "-", "x.test")
			r.write("one", `[2026-11-22T10:11:12Z] "GET /ca`)
		},
		"a line without its time": func(r *logRig) {
			r.pod("one", "u1", "")
			r.asked("one", "-", "x.test")
			r.logs["one"] = append(r.logs["one"], "unable to retrieve container logs")
		},
		"a line without end": func(r *logRig) {
			r.pod("one", "u1", "")
			r.asked("one", "-", "x.test")
			r.write("one", strings.Repeat("x", 1<<20))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, client := startAPI(t)
			r := newLogRig(a)
			evidence, _ := r.evidence(t)
			evidence.Kube = client
			setup(r)
			if obs, err := evidence.Collect(t.Context(), cutover.Observation{}); err == nil {
				t.Errorf("it says %s: %s", obs.Use, obs.Text)
			}
		})
	}
}

// Where a log tells both, the host counts and not the backend; fields of the user's own are read by their names.
func TestC24_ALogOfJSONIsJudgedByItsHosts(t *testing.T) {
	a, client := startAPI(t)
	r := newLogRig(a)
	evidence, _ := r.evidence(t)
	evidence.Kube, evidence.Log.Format = client, "json"
	evidence.Log.Fields = &migration.AccessLogFields{Time: "t", Host: "name", Backend: "to"}
	ask := func(host string) {
		r.write("one", fmt.Sprintf(`{"t":"2026-11-22T10:11:12Z","name":%q,"to":"shop-web-80"}`, host))
	}
	r.pod("one", "u1", "")
	ask("other.example.org")
	last, err := evidence.Collect(t.Context(), cutover.Observation{})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]cutover.Use{"other.example.org": cutover.Quiet, "shop.example.org": cutover.Used, "": cutover.Used} {
		ask(host)
		if last, err = evidence.Collect(t.Context(), last); err != nil || last.Use != want {
			t.Errorf("%q: %s, %v, want %s", host, last.Use, err, want)
		}
	}
}

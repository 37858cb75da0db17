package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	authv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
)

// TestRightsAreTheLeast takes whole migrations by accounts that hold exactly the printed roles: nothing that they asked for was
// denied, and every printed right was used. Some of the rules, chosen by a seed, are taken away one at a time: doctor names
// what is missing, and a run refuses before it changes anything. CROSSFADE_RIGHTS=all takes each of them away in turn.
//
// Roles name every kind that blue serves, and this migration defines one: no other is under way meanwhile.
func TestRightsAreTheLeast(t *testing.T) { runScripts(t, "", rightsScript("whole")) }

// TestRightsOfARetirementAndInOneClusterAreTheLeast does the same with a migration that ends with the retirement of blue, and with
// those inside a cluster, which come back after they were finished.
func TestRightsOfARetirementAndInOneClusterAreTheLeast(t *testing.T) {
	runScripts(t, "", rightsScript("retirement-rights"), rightsScript("one-cluster-rights"), rightsScript("switch-rights"))
}

func rightsScript(name string) string { return filepath.Join("testdata", "rights", name+".txtar") }

// envRights holds a seed, or "all".
const envRights = "CROSSFADE_RIGHTS"

// takenAway is how many rules of a side are taken away where not all are.
const takenAway = 3

// use is one thing that an account asked for.
type use struct{ verb, group, resource, namespace, name string }

// witness stands between an account and its API server: it passes the account's requests on as they are, and keeps what was
// asked and what was denied. The pods of the world are played; whether they may be asked is the API server's to say.
type witness struct {
	server *http.Server
	client *kube.Client // as the account, for the question about pods
	front  *httputil.ReverseProxy

	mu     sync.Mutex
	used   map[use]int
	denied []use
}

// cmdAccount makes a kubeconfig SIDE.kubeconfig of the account that the applied roles were printed for, behind a witness:
// account SIDE.
func cmdAccount(ts *testscript.TestScript, _ bool, args []string) {
	side := args[0]
	direct, played := ts.Getenv(strings.ToUpper(side)+"_DIRECT"), ts.Getenv(strings.ToUpper(side))
	account := ts.Getenv("NS") + "-" + side
	out, err := exec.Command(ts.Getenv("KUBECTL"), "--kubeconfig="+direct, "-n", "crossfade", "create", "token", account).Output()
	ts.Check(err)
	admin, err := clientcmd.BuildConfigFromFlags("", direct)
	ts.Check(err)
	config := rest.AnonymousClientConfig(admin)
	config.BearerToken = strings.TrimSpace(string(out))
	w := &witness{used: map[use]int{}}
	w.client, err = kube.ForConfig(config)
	ts.Check(err)
	transport, err := rest.TransportFor(config) // it adds the token, which no client sends without TLS
	ts.Check(err)
	target, err := url.Parse(admin.Host)
	ts.Check(err)
	through := httputil.NewSingleHostReverseProxy(target)
	through.Transport, through.FlushInterval = transport, -1
	pods, err := clientcmd.BuildConfigFromFlags("", played)
	ts.Check(err)
	podsURL, err := url.Parse(pods.Host)
	ts.Check(err)
	w.front = httputil.NewSingleHostReverseProxy(podsURL)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	ts.Check(err)
	w.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.pass(rw, r, through) })}
	go func() { _ = w.server.Serve(listener) }()
	ts.Defer(func() { _ = w.server.Close() })
	made := clientcmdapi.NewConfig()
	made.Clusters[side] = &clientcmdapi.Cluster{Server: "http://" + listener.Addr().String()}
	made.Contexts[side] = &clientcmdapi.Context{Cluster: side}
	made.CurrentContext = side
	ts.Check(clientcmd.WriteToFile(*made, ts.MkAbs(side+".kubeconfig")))
	ts.Value(keyWitness).(map[string]*witness)[side] = w
}

func (w *witness) pass(rw http.ResponseWriter, r *http.Request, through http.Handler) {
	asked, ok := useOf(r)
	if !ok {
		through.ServeHTTP(rw, r)
		return
	}
	w.mu.Lock()
	w.used[asked]++
	w.mu.Unlock()
	if asked.resource == "pods/proxy" {
		if may, why := w.may(r.Context(), asked); !may {
			w.deny(asked)
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(rw).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonForbidden, Code: 403, Message: why})
			return
		}
		w.front.ServeHTTP(rw, r)
		return
	}
	seen := &codeWriter{ResponseWriter: rw}
	through.ServeHTTP(seen, r)
	if seen.code == http.StatusForbidden {
		w.deny(asked)
	}
}

func (w *witness) may(ctx context.Context, u use) (bool, string) {
	resource, sub, _ := strings.Cut(u.resource, "/")
	got, err := w.client.Typed.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authv1.SelfSubjectAccessReview{Spec: authv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authv1.ResourceAttributes{Namespace: u.namespace, Verb: u.verb, Resource: resource, Subresource: sub, Name: u.name},
	}}, metav1.CreateOptions{})
	if err != nil {
		return false, err.Error()
	}
	return got.Status.Allowed, "forbidden: " + got.Status.Reason
}

func (w *witness) deny(u use) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.denied = append(w.denied, u)
}

type codeWriter struct {
	http.ResponseWriter
	code int
}

func (c *codeWriter) WriteHeader(code int) {
	c.code = code
	c.ResponseWriter.WriteHeader(code)
}

func (c *codeWriter) Flush() {
	if f, ok := c.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// useOf reads a request as an API server's authorization does. What every account may ask is passed over.
func useOf(r *http.Request) (use, bool) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var u use
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		u.group, parts = parts[1], parts[3:]
	default:
		return u, false
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		u.namespace, parts = parts[1], parts[2:]
	}
	u.resource = parts[0]
	if len(parts) > 1 {
		u.name, _, _ = strings.Cut(parts[1], ":")
	}
	if len(parts) > 2 {
		u.resource += "/" + parts[2]
	}
	switch r.Method {
	case http.MethodGet:
		u.verb = "get"
		if u.name == "" {
			u.verb = "list"
		}
	case http.MethodPost:
		u.verb = "create"
	case http.MethodPut:
		u.verb = "update"
	case http.MethodPatch:
		u.verb = "patch"
	case http.MethodDelete:
		u.verb = "delete"
	}
	return u, u.group != "authorization.k8s.io"
}

// printed reads the rules of a side from what doctor --rbac -o json has printed.
func printed(ts *testscript.TestScript, file, side string) []kube.Rule {
	var roles struct {
		Sides []struct {
			Side  string      `json:"side"`
			Rules []kube.Rule `json:"rules"`
		} `json:"sides"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &roles))
	for _, s := range roles.Sides {
		if s.Side == side {
			return s.Rules
		}
	}
	ts.Fatalf("%s has no rules of %s", file, side)
	return nil
}

// cmdUsed demands that nothing was denied and, given what was printed, that all of it was used, but for rights on resources that
// are named: used SIDE [RULES.json [RESOURCE…]].
func cmdUsed(ts *testscript.TestScript, _ bool, args []string) {
	w := ts.Value(keyWitness).(map[string]*witness)[args[0]]
	w.mu.Lock()
	defer w.mu.Unlock()
	var rules []kube.Rule
	excused := func(string) bool { return false }
	if len(args) > 1 {
		rules = printed(ts, args[1], args[0])
		excused = func(resource string) bool { return slices.Contains(args[2:], resource) }
	}
	denied := slices.DeleteFunc(slices.Clone(w.denied), func(u use) bool { return excused(u.resource) })
	for _, d := range denied {
		ts.Logf("denied on %s: %+v", args[0], d)
	}
	unused, count := 0, 0
	for _, rule := range rules {
		if rule.Granted {
			continue // held so that it can be given on; nobody uses it here
		}
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				count++
				if !excused(resource) && !w.has(rule, resource, verb) {
					unused++
					ts.Logf("printed and not used on %s: %s %s %v in %q (%s)", args[0], verb, resource, rule.Names, rule.Namespace, strings.Join(rule.Why, "; "))
				}
			}
		}
	}
	ts.Logf("%s: %d rights printed, %d requests of %d kinds", args[0], count, sum(w.used), len(w.used))
	if unused+len(denied) > 0 {
		ts.Fatalf("%d rights were printed and not used, %d requests were denied", unused, len(denied))
	}
}

func sum(m map[use]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

func (w *witness) has(rule kube.Rule, resource, verb string) bool {
	for u := range w.used {
		if u.verb == verb && u.resource == resource && u.group == rule.Groups[0] && (rule.Namespace == "" || u.namespace == rule.Namespace) &&
			(len(rule.Names) == 0 || slices.Contains(rule.Names, u.name)) {
			return true
		}
	}
	return false
}

// cmdWithout takes rules of a side away, one at a time, and demands that doctor names what is missing and that a run refuses
// before it has changed anything: without SIDE RULES.json.
func cmdWithout(ts *testscript.TestScript, _ bool, args []string) {
	side := args[0]
	rules := printed(ts, args[1], side)
	chosen, seed := chooseRules(rules, side)
	ts.Logf("%d of %d rules of %s are taken away, chosen by the seed %s", len(chosen), len(rules), side, seed)
	admin, err := kube.Connect(kube.Options{Kubeconfig: ts.Getenv(strings.ToUpper(side) + "_DIRECT")})
	ts.Check(err)
	name := "crossfade-" + ts.Getenv("NS") + "-" + side
	for _, i := range chosen {
		rule := rules[i]
		back, err := kubetest.TakeAway(context.Background(), admin, name, rule)
		ts.Check(err)
		what := rule.Verbs[0] + " " + strings.Join(append(slices.Clone(rule.Resources), rule.URLs...), ",")
		within(ts, time.Minute, func() error {
			out, code := output(ts, "crossfade", "doctor")
			if code != exitRefused || !strings.Contains(out, side+": rights") || !strings.Contains(out, "this account may not "+rule.Verbs[0]+" ") {
				return fmt.Errorf("without the rule to %s (%v) doctor ends with %d:\n%s", what, rule.Why, code, out)
			}
			return nil
		})
		if out, code := output(ts, "crossfade", "run", "--yes"); code != exitRefused {
			ts.Fatalf("without the rule to %s (%v) a run ends with %d:\n%s", what, rule.Why, code, out)
		}
		ts.Check(back())
	}
	// What was refused while something was missing is no finding.
	w := ts.Value(keyWitness).(map[string]*witness)[side]
	w.mu.Lock()
	defer w.mu.Unlock()
	w.denied = nil
}

// chooseRules returns the rules to be taken away, and the seed that chose them.
func chooseRules(rules []kube.Rule, side string) (chosen []int, seed string) {
	seed = os.Getenv(envRights)
	for i := range rules {
		chosen = append(chosen, i)
	}
	if seed == "all" {
		return chosen, seed
	}
	if seed == "" {
		seed = rand.Text()[:8]
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(seed + side))
	mathrand.New(mathrand.NewPCG(h.Sum64(), 1)).Shuffle(len(chosen), func(i, k int) { chosen[i], chosen[k] = chosen[k], chosen[i] })
	return chosen[:min(takenAway, len(chosen))], seed
}

// output runs a program of the script's and returns all that it says, and its exit code.
func output(ts *testscript.TestScript, program string, args ...string) (string, int) {
	path, err := exec.LookPath(program)
	ts.Check(err)
	cmd := exec.Command(path, args...)
	cmd.Args[0], cmd.Dir = program, ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "S3_ACCESS", "S3_SECRET", "TSIG", "NS"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(&out)
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out.String(), exit.ExitCode()
	}
	ts.Check(err)
	return out.String(), 0
}

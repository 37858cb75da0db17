package ports_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/ports"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.fuzz"); f != nil && f.Value.String() != "" {
		os.Exit(m.Run()) // every worker of a fuzzer would start a cluster of its own
	}
	os.Exit(kubetest.Main(m, cluster.LightOptions{Name: "ports"}))
}

// fakeCluster refuses the absurd port with a text and holds nothing.
type fakeCluster struct{ refusal error }

func (f fakeCluster) TryNodePort(context.Context, int32) error { return f.refusal }

func (f fakeCluster) Services(context.Context) iter.Seq2[*corev1.Service, error] {
	return func(func(*corev1.Service, error) bool) {}
}

func (f fakeCluster) Pods(context.Context) iter.Seq2[*corev1.Pod, error] {
	return func(func(*corev1.Pod, error) bool) {}
}

func invalid(text string) error {
	return apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, "x", field.ErrorList{field.Invalid(field.NewPath("spec"), 1, text)})
}

func TestP01_ARangeThatIsNotSaidIsNotGuessed(t *testing.T) {
	for _, refusal := range []error{errors.New("no such host"), invalid("something else"), invalid("The range of valid ports is 40000-30000")} {
		if _, err := ports.Learn(t.Context(), fakeCluster{refusal}, "m", kube.LabelMigration); !errors.Is(err, ports.ErrRangeUnknown) {
			t.Errorf("after %v the error is %v, want ErrRangeUnknown", refusal, err)
		}
	}
	in, err := ports.Learn(t.Context(), fakeCluster{}, "m", kube.LabelMigration)
	if err != nil || in.Range != (ports.Range{From: 1, To: 65535}) {
		t.Errorf("a server that takes every number has the range %v, %v", in.Range, err)
	}
	in, err = ports.Learn(t.Context(), fakeCluster{invalid("provided port is not in the valid range. The range of valid ports is 20000-22767")}, "m", kube.LabelMigration)
	if err != nil || in.Range != (ports.Range{From: 20000, To: 22767}) {
		t.Errorf("the range is %v, %v", in.Range, err)
	}
}

// settled returns a client of a server that has made its own Service, as it does soon after its start.
func settled(t *testing.T) *kube.Client {
	t.Helper()
	c := kubetest.Connect(t)
	watch, err := c.Typed.CoreV1().Services("default").Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=kubernetes"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	<-watch.ResultChan() // it begins with what is there
	return c
}

func service(name, spec string) string {
	return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: " + spec
}

func TestP01_TheRangeOfARealServerIsLearnedWithoutATrace(t *testing.T) {
	c := settled(t)
	before, err := c.Typed.CoreV1().Services("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	in, err := ports.Learn(t.Context(), ports.FromKube(c), "m", kube.LabelMigration)
	if err != nil || in.Range != usual() {
		t.Errorf("the range is %v, %v", in.Range, err)
	}
	after, err := c.Typed.CoreV1().Services("").List(t.Context(), metav1.ListOptions{})
	if err := ports.FromKube(c).TryNodePort(t.Context(), 31999); err != nil {
		t.Errorf("a free number in the range is refused: %v", err)
	}
	kubetest.Apply(t, c, kubetest.Namespace(t, c), service("after", "{type: NodePort, ports: [{port: 80, nodePort: 31999}]}")) // it was released
	if err != nil || len(after.Items) != len(before.Items) {
		t.Errorf("there were %d Services and are %d, %v", len(before.Items), len(after.Items), err)
	}
}

func TestP03_NumbersInUseAreFoundInEveryNamespace(t *testing.T) {
	c := settled(t)
	one, two := kubetest.Namespace(t, c), kubetest.Namespace(t, c)
	kubetest.Apply(t, c, one, service("dns", "{type: NodePort, ports: [{name: a, port: 53, nodePort: 31053}, {name: b, port: 53, protocol: UDP, nodePort: 31053}]}"))
	kubetest.Apply(t, c, two, service("lb", "{type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 31077, allocateLoadBalancerNodePorts: false, ports: [{port: 80, nodePort: 31054}]}"))
	kubetest.Apply(t, c, two, `
apiVersion: v1
kind: Pod
metadata: {name: agent}
spec: {containers: [{name: c, image: i, ports: [{containerPort: 80, hostPort: 9111}]}]}`)
	in, err := ports.Learn(t.Context(), ports.FromKube(c), "m", kube.LabelMigration)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range in.Used {
		if u.Namespace == one || u.Namespace == two {
			got = append(got, fmt.Sprintf("%d%s", u.Port, u.Protocol))
		}
	}
	slices.Sort(got)
	if want := []string{"31053TCP", "31053UDP", "31054TCP", "31077"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	if !slices.Contains(in.Taken, ports.HostPort{Port: 9111, Protocol: "TCP", Owner: "Pod " + two + "/agent"}) {
		t.Errorf("the pod's port of the node is not found: %v", in.Taken)
	}
	// What the plan gives, the server takes: the proof of a map without collisions.
	in.Wants = []ports.Want{want(31053, "a"), want(31054, "b"), want(31077, "c"), want(80, "d")}
	for _, line := range ports.Plan(in).Map {
		kubetest.Apply(t, c, one, service(fmt.Sprint("new-", line.Port), fmt.Sprintf("{type: NodePort, ports: [{port: 80, nodePort: %d}]}", line.New)))
	}
}

type memArchive []*unstructured.Unstructured

func (m memArchive) Index() archive.Index {
	var i archive.Index
	for n, obj := range m {
		i.Entries = append(i.Entries, archive.Entry{Kind: obj.GetKind(), Namespace: obj.GetNamespace(), Name: obj.GetName(), Size: int64(n)})
	}
	return i
}

func (m memArchive) Object(_ context.Context, e archive.Entry) (*unstructured.Unstructured, error) {
	return m[e.Size], nil
}

func TestP05_TheArchiveIsReadForWantsAndMentions(t *testing.T) {
	var a memArchive
	for _, raw := range []string{
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"shop"},"spec":{"type":"NodePort","ports":[{"name":"http","port":80,"nodePort":31000}]}}`,
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"shop"},"data":{"url":"http://node:31000/x"}}`,
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop"},"spec":{"template":{"spec":{"containers":[{"name":"c","args":["--port=31000"],"env":[{"name":"P","value":"31000"}],"ports":[{"containerPort":1,"hostPort":9100}]}]}}}}`,
	} {
		obj := &unstructured.Unstructured{}
		if err := json.Unmarshal([]byte(raw), obj); err != nil {
			t.Fatal(err)
		}
		a = append(a, obj)
	}
	in, err := ports.Read(t.Context(), a, fakeCluster{invalid("The range of valid ports is 30000-30010")}, "m", migration.Maps{Namespaces: map[string]string{"shop": "green-shop"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Wants) != 1 || in.Wants[0].GreenNamespace != "green-shop" || len(in.HostPorts) != 1 {
		t.Errorf("wants are %v, ports of nodes %v", in.Wants, in.HostPorts)
	}
	p := ports.Plan(in)
	text := fmt.Sprint(p.Notes)
	for _, where := range []string{"ConfigMap shop/c, url", "arguments of c", "environment P"} {
		if !strings.Contains(text, where) {
			t.Errorf("%q is not reported in %s", where, text)
		}
	}
}

// FuzzRange: whatever a server says, Learn returns a range of valid ports or an error, and never panics.
func FuzzRange(f *testing.F) {
	f.Add("The range of valid ports is 30000-32767")
	f.Add("range of valid ports is 99999999999-1")
	f.Fuzz(func(t *testing.T, text string) {
		in, err := ports.Learn(t.Context(), fakeCluster{invalid(text)}, "m", "l")
		if err == nil && (in.Range.From < 1 || in.Range.To > 65535 || in.Range.Size() < 1) {
			t.Errorf("%q gave %v", text, in.Range)
		}
	})
}

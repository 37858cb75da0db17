package front

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
)

func service(change func(*corev1.Service)) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "shop"}, Ports: []corev1.ServicePort{{Port: 80}, {Port: 53, Protocol: corev1.ProtocolUDP}}},
	}
	if change != nil {
		change(svc)
	}
	return svc
}

func TestTakeable(t *testing.T) {
	local := corev1.ServiceInternalTrafficPolicyLocal
	for want, change := range map[string]func(*corev1.Service){
		"":                      func(s *corev1.Service) { s.Spec.Ports = s.Spec.Ports[:1] },
		"it has a port of UDP":  nil,
		"it is an ExternalName": func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName },
		"it has no selector":    func(s *corev1.Service) { s.Spec.Selector = nil },
		"it is headless":        func(s *corev1.Service) { s.Spec.ClusterIP = corev1.ClusterIPNone },
		"it has a port of SCTP": func(s *corev1.Service) { s.Spec.Ports[1].Protocol = corev1.ProtocolSCTP },
		"it has no port":        func(s *corev1.Service) { s.Spec.Ports = nil },
		"its externalTrafficPolicy is": func(s *corev1.Service) {
			s.Spec.Ports, s.Spec.ExternalTrafficPolicy = s.Spec.Ports[:1], corev1.ServiceExternalTrafficPolicyLocal
		},
		"its internalTrafficPolicy is": func(s *corev1.Service) { s.Spec.Ports, s.Spec.InternalTrafficPolicy = s.Spec.Ports[:1], &local },
	} {
		if why := Takeable(service(change), false); !strings.HasPrefix(why, want) || want == "" && why != "" {
			t.Errorf("it says %q, want %q", why, want)
		}
	}
	if why := Takeable(service(nil), true); why != "" {
		t.Errorf("UDP can be refused: %s", why)
	}
}

// The second Service's ways begin where those of the first end.
func TestEveryPortHasAWayOfItsOwn(t *testing.T) {
	ways := waysOf(service(nil), firstWayPort+3, func(p corev1.ServicePort) []string { return []string{"green:" + p.Name} })
	if len(ways) != 2 || ways[0].Name != "demo/shop:80" || ways[0].Listen != ":20004" || ways[1].Name != "demo/shop:53/udp" || ways[1].Listen != ":20005" || len(ways[0].To) != 1 {
		t.Errorf("%+v", ways)
	}
	if refusing := waysOf(service(nil), firstWayPort, nil); len(refusing[0].To) != 0 {
		t.Errorf("it passes on: %+v", refusing)
	}
}

func live() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": "demo", "name": "shop", "uid": "1", "annotations": map[string]any{"own": "kept"}},
		"spec": map[string]any{
			"selector": map[string]any{"app": "shop"},
			"ports": []any{
				map[string]any{"port": int64(80), "protocol": "TCP", "targetPort": "http"},
				map[string]any{"port": int64(443), "protocol": "TCP"},
			},
		},
	}}
}

func switched(t *testing.T) (Switch, *unstructured.Unstructured) {
	t.Helper()
	s, err := switchOf(live(), 2, firstWayPort, Pods{Name: "front"}.selector())
	if err != nil {
		t.Fatal(err)
	}
	obj := live()
	for _, f := range s.Front {
		f.Restore(obj.Object)
	}
	return s, obj
}

func TestASwitchIsTakenBackToTheByte(t *testing.T) {
	s, obj := switched(t)
	if selector, _, _ := unstructured.NestedStringMap(obj.Object, "spec", "selector"); selector[kube.LabelFront] != "front" || len(selector) != 1 {
		t.Errorf("it selects %v", selector)
	}
	if there, err := s.is(obj, "id", s.Original, s.Front); err != nil || !there {
		t.Errorf("it is there: %t, %v", there, err)
	}
	s.undo(obj.Object)
	if !reflect.DeepEqual(obj.Object, live().Object) {
		t.Errorf("it is %v", obj.Object)
	}
}

// A port that somebody has added, and a selector that somebody has written, are theirs; what is still ours goes back.
func TestWhatOthersHaveWrittenStays(t *testing.T) {
	s, obj := switched(t)
	ports, _, _ := unstructured.NestedSlice(obj.Object, "spec", "ports")
	ports = append(ports, map[string]any{"port": int64(8080), "protocol": "TCP", "targetPort": int64(firstWayPort)})
	if err := errors.Join(unstructured.SetNestedSlice(obj.Object, ports, "spec", "ports"),
		unstructured.SetNestedStringMap(obj.Object, map[string]string{"app": "other"}, "spec", "selector")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.is(obj, "id", s.Original, s.Front); !errors.Is(err, plan.ErrMoved) {
		t.Errorf("a third state: %v", err)
	}
	s.undo(obj.Object)
	want := append(s.Original[1].Value.([]any), ports[2])
	if got := hook.FieldsOf(obj.Object, s.Original); !reflect.DeepEqual(got[1].Value, want) || !reflect.DeepEqual(got[0].Value, map[string]any{"app": "other"}) || got[2].Present {
		t.Errorf("it is %s", hook.Show(got))
	}
}

// Where pods of ours are in front already, the Service still tells what it was before all of them.
func TestASecondSwitchKeepsWhatTheServiceWas(t *testing.T) {
	first, obj := switched(t)
	second, err := switchOf(obj, 2, firstWayPort, Pods{Name: "second"}.selector())
	if err != nil || second.Front[2].Value != first.Front[2].Value || !strings.Contains(second.Front[2].Value.(string), `"app":"shop"`) {
		t.Errorf("it tells %v, %v", second.Front[2].Value, err)
	}
	if _, err := switchOf(live(), 3, firstWayPort, nil); !errors.Is(err, plan.ErrMoved) {
		t.Errorf("it has other ports than a moment ago: %v", err)
	}
}

func TestNamesAreShortAndTellMigrationsApart(t *testing.T) {
	long := strings.Repeat("a", 23) + "-and-more"
	a, b := nameOf(BrownOut, "one", long), nameOf(BrownOut, "two", long)
	if a == b || len(a) > 63 || !strings.HasPrefix(a, "crossfade-brown-out-"+strings.Repeat("a", 23)+"-") {
		t.Errorf("%s, %s", a, b)
	}
}

func TestLedWrong(t *testing.T) {
	pod := func(uid string, ready corev1.ConditionStatus) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod-" + uid, UID: types.UID(uid)}, Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}}}
	}
	slice := func(uids ...string) discoveryv1.EndpointSlice {
		var s discoveryv1.EndpointSlice
		for _, uid := range uids {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{TargetRef: &corev1.ObjectReference{Name: "pod-" + uid, UID: types.UID(uid)}})
		}
		return s
	}
	not := false
	unready := slice("9")
	unready.Endpoints[0].Conditions.Ready = &not
	bare := discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}}}
	chosen := []corev1.Pod{pod("1", corev1.ConditionTrue), pod("2", corev1.ConditionFalse)}
	for name, tt := range map[string]struct {
		written []discoveryv1.EndpointSlice
		want    string
	}{
		"as chosen, in two families":     {[]discoveryv1.EndpointSlice{slice("1"), slice("1")}, ""},
		"an old one that is not ready":   {[]discoveryv1.EndpointSlice{slice("1"), unready}, ""},
		"an old one":                     {[]discoveryv1.EndpointSlice{slice("1", "9")}, "pod-9 is still there"},
		"none yet":                       {nil, "pod-1 is not there yet"},
		"an address without a reference": {[]discoveryv1.EndpointSlice{slice("1"), bare}, "192.0.2.1 is still there"},
	} {
		if got := ledWrong(chosen, tt.written); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

package restore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestK14_MissingRightsAreSaidBeforeAnythingIsWritten(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, strings.Split(demo, "\n---\n")[2]+`
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: escalates}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
---
apiVersion: v1
kind: Secret
metadata: {name: keys}`)
	kubetest.Apply(t, f.c, "", fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: some-%[1]s}
rules:
- {apiGroups: [""], resources: [namespaces, configmaps, nodes, pods], verbs: ["*"]}
- {apiGroups: [""], resources: [secrets], verbs: [list]}
- {apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [create, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: some-%[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: some-%[1]s}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: some-%[1]s}]`, f.ns))
	f.opts.Green = kubetest.As(t, f.c, "some-"+f.ns)
	p := f.plan(t)
	refusedFor(t, p, "create secrets", "attempting to grant RBAC permissions not currently held")
	if len(p.Refusals) != 2 {
		t.Errorf("refusals are %v, want the Secret and the Role", p.Refusals)
	}
}

func TestK11_AConversionWhoseWebhookRestsIsRefused(t *testing.T) {
	const crd = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: offers.GROUP.crossfade.test}
spec:
  group: GROUP.crossfade.test
  scope: Namespaced
  names: {kind: Offer, plural: offers, singular: offer}
  conversion: {strategy: Webhook, webhook: {conversionReviewVersions: [v1], clientConfig: {service: {name: s, namespace: shop}}}}
  versions: [{name: v1, served: true, storage: %t}, {name: v2, served: true, storage: %t}]
---
apiVersion: GROUP.crossfade.test/v1
kind: Offer
metadata: {name: spring}`
	refusedFor(t, newFixture(t, "shop", migration.Application{}, fmt.Sprintf(crd, false, true)).plan(t), "archived in version v1, its CRD stores v2")
	noRefusals(t, newFixture(t, "shop", migration.Application{}, fmt.Sprintf(crd, true, false)).plan(t))
}

func TestK14_TheRightToStartIsAskedBeforeTheRestore(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, strings.Split(runningApp, "\n---\n")[1])
	kubetest.Apply(t, f.c, "", fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: some-%[1]s}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: [get, list, create]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: some-%[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: some-%[1]s}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: some-%[1]s}]`, f.ns))
	f.opts.Green = kubetest.As(t, f.c, "some-"+f.ns)
	refusedFor(t, f.plan(t), "patch deployments.apps")
}

func TestK16_AnArchiveOfANewerKubernetesIsRefusedUnlessAllowed(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, twoObjects)
	f.opts.Archive.(*memArchive).index.BlueVersion = "v1.99.0"
	refusedFor(t, f.plan(t), "older than blue's v1.99.0")
	f.opts.AllowOlder = true
	noRefusals(t, f.plan(t))
}

func TestK16_AKindThatGreenDoesNotServeIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, twoObjects+"\n---\napiVersion: example.org/v1\nkind: Thing\nmetadata: {name: x}")
	refusedFor(t, f.plan(t), "green does not serve Thing.example.org")
}

func TestK19_ClassesThatGreenLacksAreRefused(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{Volumes: "empty"}, `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {storageClassName: gold, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: in}
spec: {ingressClassName: nginx, defaultBackend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {priorityClassName: high, runtimeClassName: gvisor, containers: [{name: c, image: i}]}}}`)
	refusedFor(t, f.plan(t), "StorageClass gold", "IngressClass nginx", "PriorityClass high", "RuntimeClass gvisor", "maps.priorityClasses")
	kubetest.Apply(t, f.c, "", strings.ReplaceAll(`
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: sc-NS}
provisioner: none
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: ic-NS}
spec: {controller: example.org/none}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: pc-NS}
value: 5
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: rc-NS}
handler: x`, "NS", f.ns))
	f.opts.Maps.StorageClasses = map[string]string{"gold": "sc-" + f.ns}
	f.opts.Maps.IngressClasses = map[string]string{"nginx": "ic-" + f.ns}
	f.opts.Maps.PriorityClasses = map[string]string{"high": "pc-" + f.ns}
	f.opts.Maps.RuntimeClasses = map[string]string{"gvisor": "rc-" + f.ns}
	noRefusals(t, f.plan(t))
	f.opts.Applications[0].Volumes = ""
	refusedFor(t, f.plan(t), "PersistentVolumeClaim "+f.ns+"/data", "volume data is not moved")
}

func TestK24_GreenMustHaveRoom(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, twoObjects)
	// A resource of the test's own, since other tests' nodes bring cpu and memory.
	name := corev1.ResourceName("example.org/gpu-" + f.ns)
	f.opts.Archive = archived(t, 1, "shop", parse(t, "shop", strings.ReplaceAll(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      initContainers: [{name: i, image: i, resources: {requests: {example.org/gpu-NS: "5"}, limits: {example.org/gpu-NS: "5"}}}]
      containers: [{name: c, image: i, resources: {limits: {example.org/gpu-NS: "2"}}}, {name: d, image: i}]`, "NS", f.ns))...)
	nodes := f.c.Typed.CoreV1().Nodes()
	node, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n-" + f.ns}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	room := func(amount string) {
		t.Helper()
		body := fmt.Sprintf(`{"status":{"capacity":{"%[1]s":"%[2]s"},"allocatable":{"%[1]s":"%[2]s"}}}`, name, amount)
		if _, err := nodes.Patch(t.Context(), node.Name, types.MergePatchType, []byte(body), metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
	}
	room("14")
	refusedFor(t, f.plan(t), "15 is to move and 14 is free", "1 is missing")
	room("15")
	noRefusals(t, f.plan(t))
	// A pod of another namespace takes some of it.
	other := kubetest.Namespace(t, f.c)
	kubetest.Apply(t, f.c, other, fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {nodeName: %s, containers: [{name: c, image: i, resources: {limits: {%s: \"4\"}}}]}", node.Name, name))
	refusedFor(t, f.plan(t), "4 is missing")
}

func TestP06_AHostThatGreenAnswersForAlreadyIsRefused(t *testing.T) {
	const in = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: in, annotations: {kubernetes.io/ingress.class: x}}\nspec: {rules: [{host: %s.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}"
	f := newFixture(t, "shop", migration.Application{}, fmt.Sprintf(in, "GROUP"))
	kubetest.Apply(t, f.c, kubetest.Namespace(t, f.c), fmt.Sprintf(in, f.ns))
	refusedFor(t, f.plan(t), "answers for "+f.ns+".test/")
	f.opts.Maps.Hosts = map[string]string{f.ns + ".test": f.ns + ".green.test"}
	noRefusals(t, f.plan(t))
}

func TestOneClusterIsTwoSidesOnlyUnderOtherNames(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, twoObjects+`
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: b-GROUP}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: a, namespace: shop}]`)
	kubetest.Apply(t, f.c, "", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b-"+f.ns+"}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}\nsubjects: [{kind: ServiceAccount, name: a, namespace: shop}]")
	id, err := f.c.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.opts.Archive.(*memArchive).index.BlueUID = id.UID
	f.restore(t)
	blue := kubetest.Get(t, f.c, rbacGroup, "ClusterRoleBinding", "", "b-"+f.ns)
	green := kubetest.Get(t, f.c, rbacGroup, "ClusterRoleBinding", "", "b-"+f.ns+"-"+f.opts.Migration)
	if digMaps(blue.Object, "subjects")[0]["namespace"] != "shop" || digMaps(green.Object, "subjects")[0]["namespace"] != f.ns {
		t.Error("the bindings of the two sides are not kept apart")
	}
	if again := f.plan(t); len(again.Changes) != 0 {
		t.Errorf("planned again: %v", again.Changes)
	}
	f.opts.Maps.Namespaces = nil
	refusedFor(t, f.plan(t), "restored onto itself")
}

func TestBindsAndPatchesThatMeetNothingAreRefused(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, twoObjects)
	f.opts.Patches = []migration.Patch{{Target: migration.Target{Kind: "ConfigMap", Namespace: f.ns, Name: "settings"}, Merge: map[string]any{}}}
	f.opts.Binds = []migration.Bind{{Kind: "Secret", Namespace: "shop", Name: "none", Set: map[string]string{"a": "b"}}}
	refusedFor(t, f.plan(t), "patches[0]", "bind of Secret shop/none")
}

func TestK08_AnOwnersUIDIsGreens(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, strings.Join(strings.Split(demo, "\n---\n")[:2], "\n---\n")+`
---
apiVersion: v1
kind: ConfigMap
metadata: {name: owned, ownerReferences: [{apiVersion: GROUP.crossfade.test/v1, kind: Offer, name: spring, uid: 1-2-3}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: orphan, ownerReferences: [{apiVersion: GROUP.crossfade.test/v1, kind: Offer, name: none, uid: 1-2-4}]}`)
	p, _ := f.restore(t)
	parent := f.get(t, f.ns+".crossfade.test", "Offer", "spring")
	refs := digMaps(f.get(t, "", "ConfigMap", "owned"), "metadata", "ownerReferences")
	if len(refs) != 1 || refs[0]["uid"] != digString(parent, "metadata", "uid") {
		t.Errorf("the owner is %v", refs)
	}
	if refs := digMaps(f.get(t, "", "ConfigMap", "orphan"), "metadata", "ownerReferences"); len(refs) > 0 {
		t.Errorf("the owner that green lacks is %v", refs)
	}
	if !strings.Contains(fmt.Sprint(p.Notes), "Offer none is not in the archive") {
		t.Errorf("the lost owner is not reported: %v", p.Notes)
	}
	if again := f.plan(t); len(again.Changes) != 0 {
		t.Errorf("planned again: %v", again.Changes)
	}
}

func TestK09_EndpointsOfAServiceWithoutASelectorComeOver(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, `
apiVersion: v1
kind: Service
metadata: {name: by-hand}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: by-hand}
subsets: [{addresses: [{ip: 192.0.2.1}], ports: [{port: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: fed}
spec: {selector: {app: x}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: fed}
subsets: [{addresses: [{ip: 192.0.2.2}], ports: [{port: 80}]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: fed-x, labels: {kubernetes.io/service-name: fed}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.2]}]`)
	f.restore(t)
	if subsets := digMaps(f.get(t, "", "Endpoints", "by-hand"), "subsets"); len(subsets) != 1 || digMaps(subsets[0], "addresses")[0]["ip"] != "192.0.2.1" {
		t.Errorf("the endpoints made by hand are %v", subsets)
	}
	f.absent(t, "discovery.k8s.io", "EndpointSlice", "fed-x")
	if fed, err := f.c.Typed.CoreV1().Endpoints(f.ns).Get(t.Context(), "fed", metav1.GetOptions{}); err == nil && len(fed.Subsets) > 0 {
		t.Errorf("the endpoints of blue's pods are on green: %v", fed.Subsets)
	}
}

func TestP08_ANodePortTakenMeanwhileIsSaidSo(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {type: NodePort, ports: [{port: 80, nodePort: 31222}]}")
	f.opts.Ports = map[int32]int32{31222: 30222}
	p := f.plan(t)
	kubetest.Apply(t, f.c, kubetest.Namespace(t, f.c), "apiVersion: v1\nkind: Service\nmetadata: {name: thief}\nspec: {type: NodePort, ports: [{port: 80, nodePort: 30222}]}")
	if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, f.opts); !errors.Is(err, ErrPortTaken) {
		t.Errorf("the error is %v, want ErrPortTaken", err)
	}
	f.opts.Ports = map[int32]int32{31222: 30223}
	f.restore(t)
}

func TestK22_AStuckObjectIsExplained(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {selector: {matchLabels: {app: shop}}, template: {metadata: {labels: {app: shop}}, spec: {containers: [{name: c, image: nowhere/x}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: shop}, ports: [{port: 80}]}`)
	f.restore(t)
	f.start(t)
	pod := f.firstPod(t)
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}}}}
	if _, err := f.c.Typed.CoreV1().Pods(f.ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for i, message := range []string{"first", "Failed to pull"} {
		event := &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("e", i)}, Reason: "Failed", Message: message,
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: pod.Name, Namespace: f.ns},
			LastTimestamp:  metav1.NewTime(time.Date(2026, 11, 21, 12, i, 0, 0, time.UTC)),
		}
		if _, err := f.c.Typed.CoreV1().Events(f.ns).Create(t.Context(), event, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	f.opts.Stage, f.opts.Only, f.opts.Ready = "start/shop", []string{"shop"}, time.Minute
	f.opts.Clock = clock.NewFake(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	p, err := PlanStart(t.Context(), f.opts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Apply(t.Context(), p, &plan.MemoryRecorder{}, f.opts)
	var stuck *StuckError
	if !errors.As(err, &stuck) || stuck.After < time.Minute {
		t.Fatalf("the error is %v, want a StuckError after a minute", err)
	}
	for _, text := range []string{"Deployment " + f.ns + "/web", "container c waits: ImagePullBackOff no such image", "last event: Failed: Failed to pull", "Service " + f.ns + "/web: no pod behind it is ready"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in %v", text, err)
		}
	}
}

// firstPod waits until the namespace has a pod, and returns it.
func (f *fixture) firstPod(t *testing.T) *corev1.Pod {
	t.Helper()
	watch, err := f.c.Typed.CoreV1().Pods(f.ns).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	for event := range watch.ResultChan() {
		if pod, ok := event.Object.(*corev1.Pod); ok {
			return pod
		}
	}
	t.Fatal("no pod came")
	return nil
}

func TestK22_ReadyMeansEndpointsClaimsAndAddressesToo(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{Volumes: "empty"}, `
apiVersion: v1
kind: Service
metadata: {name: lb}
spec: {type: LoadBalancer, selector: {app: shop}, ports: [{port: 80}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {storageClassName: "", accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: shop}}
spec: {containers: [{name: c, image: i}]}`)
	f.turn(t, f.plan(t), nil)
	w := newWriter(f.opts)
	why := func(kind, name string, endpoints bool) string {
		t.Helper()
		r, err := f.c.ResourceFor(t.Context(), "", kind)
		if err != nil {
			t.Fatal(err)
		}
		text, err := w.unready(t.Context(), watched{Target: targetOf(r, kubetest.Get(t, f.c, "", kind, f.ns, name)), Endpoints: endpoints})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if got := why("Service", "lb", true); !strings.Contains(got, "no address") {
		t.Errorf("a balancer without an address is %q", got)
	}
	svc, err := f.c.Typed.CoreV1().Services(f.ns).Get(t.Context(), "lb", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.9"}}
	if _, err := f.c.Typed.CoreV1().Services(f.ns).UpdateStatus(t.Context(), svc, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := why("Service", "lb", false); got != "" {
		t.Errorf("a balancer with an address, whose pods rest, is %q", got)
	}
	if got := why("Service", "lb", true); !strings.Contains(got, "no pod behind it") {
		t.Errorf("a Service without endpoints is %q", got)
	}
	kubetest.Apply(t, f.c, f.ns, "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s, labels: {kubernetes.io/service-name: lb}}\naddressType: IPv4\nendpoints: [{addresses: [192.0.2.3], conditions: {ready: true}}]")
	if got := why("Service", "lb", true); got != "" {
		t.Errorf("a Service with an endpoint is %q", got)
	}
	if got := why("PersistentVolumeClaim", "data", false); !strings.Contains(got, "not bound") {
		t.Errorf("an unbound claim is %q", got)
	}
	kubetest.Apply(t, f.c, f.ns, "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: wait-"+f.ns+"}\nprovisioner: none\nvolumeBindingMode: WaitForFirstConsumer")
	kubetest.Apply(t, f.c, f.ns, "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: later}\nspec: {storageClassName: wait-"+f.ns+", accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}")
	if got := why("PersistentVolumeClaim", "later", false); got != "" {
		t.Errorf("a claim that waits for its first consumer is %q", got)
	}
	kubetest.Apply(t, f.c, f.ns, "apiVersion: v1\nkind: Pod\nmetadata: {name: uses}\nspec: {containers: [{name: c, image: i}], volumes: [{name: v, persistentVolumeClaim: {claimName: later}}]}")
	if got := why("PersistentVolumeClaim", "later", false); !strings.Contains(got, "not bound") {
		t.Errorf("a claim whose consumer is there is %q", got)
	}
}

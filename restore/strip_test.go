package restore

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestWhatIsStripped(t *testing.T) {
	for _, tc := range []struct{ name, in, out string }{
		{"what every server writes", `
apiVersion: v1
kind: ConfigMap
metadata:
  name: c
  uid: u
  resourceVersion: "1"
  generation: 3
  selfLink: /x
  creationTimestamp: "2026-01-01T00:00:00Z"
  deletionTimestamp: "2026-01-01T00:00:00Z"
  deletionGracePeriodSeconds: 30
  managedFields: [{manager: m}]
  finalizers: [foregroundDeletion, example.org/waits]
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}", pv.kubernetes.io/x: y, mine: kept}
data: {a: b}
status: {x: y}`, `
apiVersion: v1
kind: ConfigMap
metadata: {name: c, finalizers: [foregroundDeletion], annotations: {mine: kept}}
data: {a: b}`},
		{"Service: addresses and families", `
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {type: LoadBalancer, clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv4], ipFamilyPolicy: SingleStack, loadBalancerIP: 1.2.3.4, ports: [{port: 80, nodePort: 31000}], healthCheckNodePort: 31001}
status: {loadBalancer: {ingress: [{ip: 1.2.3.4}]}}`, `
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {type: LoadBalancer, ports: [{port: 80, nodePort: 31000}], healthCheckNodePort: 31001}`},
		{"headless Service keeps that", `
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {clusterIP: None, clusterIPs: [None]}`, `
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {clusterIP: None, clusterIPs: [None]}`},
		{"claim: its volume and its source", `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: p, finalizers: [kubernetes.io/pvc-protection], annotations: {pv.kubernetes.io/bind-completed: "yes", volume.kubernetes.io/selected-node: n, volume.kubernetes.io/storage-provisioner: x}}
spec: {volumeName: pv-1, dataSource: {kind: VolumeSnapshot, name: s}, dataSourceRef: {kind: VolumeSnapshot, name: s}, storageClassName: fast}
status: {phase: Bound}`, `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: p}
spec: {storageClassName: fast}`},
		{"account: tokens and generated pull secrets", `
apiVersion: v1
kind: ServiceAccount
metadata: {name: a}
secrets: [{name: a-token-x}]
imagePullSecrets: [{name: a-dockercfg-x}, {name: mine}]`, `
apiVersion: v1
kind: ServiceAccount
metadata: {name: a}
imagePullSecrets: [{name: mine}]`},
		{"pod: node and injected token", `
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {pod-template-hash: x, app: a}}
spec:
  nodeName: n
  priority: 5
  serviceAccount: s
  serviceAccountName: s
  volumes: [{name: kube-api-access-x, projected: {}}, {name: mine, emptyDir: {}}]
  containers: [{name: c, volumeMounts: [{name: kube-api-access-x, mountPath: /v}]}]`, `
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: a}}
spec: {serviceAccountName: s, volumes: [{name: mine, emptyDir: {}}], containers: [{name: c}]}`},
		{"Job: the selector that its controller made", `
apiVersion: batch/v1
kind: Job
metadata: {name: j, labels: {job-name: j, batch.kubernetes.io/controller-uid: u}}
spec: {selector: {matchLabels: {controller-uid: u}}, template: {metadata: {labels: {controller-uid: u, batch.kubernetes.io/job-name: j}}, spec: {containers: []}}}`, `
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {template: {metadata: {}, spec: {containers: []}}}`},
		{"Job: the selector that a person wrote stays", `
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {manualSelector: true, selector: {matchLabels: {controller-uid: u}}, template: {metadata: {labels: {controller-uid: u}}, spec: {containers: []}}}`, `
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {manualSelector: true, selector: {matchLabels: {controller-uid: u}}, template: {metadata: {labels: {controller-uid: u}}, spec: {containers: []}}}`},
		{"Deployment: its revision", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: d, annotations: {deployment.kubernetes.io/revision: "4"}}
spec: {template: {metadata: {creationTimestamp: null, labels: {a: b}}, spec: {containers: []}}}`, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {template: {metadata: {labels: {a: b}}, spec: {containers: []}}}`},
		{"ReplicaSet: the hash of its template", `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: r, labels: {pod-template-hash: x}}
spec: {selector: {matchLabels: {pod-template-hash: x, a: b}}, template: {metadata: {labels: {pod-template-hash: x, a: b}}, spec: {}}}`, `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: r}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {}}}`},
		{"CRD: the bundle of its conversion", `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: c}
spec: {conversion: {strategy: Webhook, webhook: {clientConfig: {caBundle: Zm9v, service: {name: s, namespace: n}}}}}
status: {storedVersions: [v1]}`, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: c}
spec: {conversion: {strategy: Webhook, webhook: {clientConfig: {service: {name: s, namespace: n}}}}}`},
		{"webhook: an injected bundle", `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: w, annotations: {cert-manager.io/inject-ca-from: n/c}}
webhooks: [{name: a, clientConfig: {caBundle: Zm9v, url: u}}]`, `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: w, annotations: {cert-manager.io/inject-ca-from: n/c}}
webhooks: [{name: a, clientConfig: {url: u}}]`},
		{"webhook: a bundle of its owner's stays", `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: w}
webhooks: [{name: a, clientConfig: {caBundle: Zm9v, url: u}}]`, `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: w}
webhooks: [{name: a, clientConfig: {caBundle: Zm9v, url: u}}]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in, out := parse(t, "", tc.in)[0], parse(t, "", tc.out)[0]
			strip(in)
			equal(t, in, out)
		})
	}
}

func equal(t *testing.T, got, want *unstructured.Unstructured) {
	t.Helper()
	if reflect.DeepEqual(got.Object, want.Object) {
		return
	}
	g, gerr := json.MarshalIndent(got.Object, "", " ")
	w, werr := json.MarshalIndent(want.Object, "", " ")
	if gerr != nil || werr != nil {
		t.Fatal(gerr, werr)
	}
	t.Errorf("got %s\nwant %s", g, w)
}

func TestWhatIsNotMadeOnGreen(t *testing.T) {
	const owner = "metadata: {name: x, ownerReferences: [{apiVersion: OWNER, kind: KIND, name: o, uid: u, controller: true}]}"
	owned := func(api, kind string) string {
		return strings.NewReplacer("OWNER", api, "KIND", kind).Replace(owner)
	}
	for _, tc := range []struct {
		doc string
		why reason
	}{
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}", ""},
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kube-root-ca.crt}", remade},
		{"apiVersion: v1\nkind: Namespace\nmetadata: {name: n}", byProvision},
		{"apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: l}", transient},
		{"apiVersion: v1\nkind: Event\nmetadata: {name: e}", transient},
		{"apiVersion: v1\nkind: Endpoints\nmetadata: {name: l, annotations: {control-plane.alpha.kubernetes.io/leader: x}}", transient},
		{"apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: p}", noVolumes},
		{"apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: s}", ownedByHost},
		{"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: view, labels: {kubernetes.io/bootstrapping: rbac-defaults}}", ownedByHost},
		{"apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v1.apps}\nspec: {group: apps}", ownedByHost},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: t}\ntype: kubernetes.io/service-account-token", tokens},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: t, annotations: {kubernetes.io/service-account.name: d}}\ntype: kubernetes.io/dockercfg", tokens},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: t}\ntype: kubernetes.io/dockercfg", ""},
		{"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\nsecrets: [{name: x}]", remade},
		{"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\nimagePullSecrets: [{name: mine}]", ""},
		{"apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nstatus: {conditions: [{type: Failed, status: 'True'}]}", finished},
		{"apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nstatus: {conditions: [{type: Failed, status: 'False'}]}", ""},
		{"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus: {phase: Succeeded}", finished},
		{"apiVersion: v1\nkind: Pod\n" + owned("apps/v1", "ReplicaSet"), remade},
		{"apiVersion: apps/v1\nkind: ReplicaSet\n" + owned("apps/v1", "Deployment"), remade},
		{"apiVersion: batch/v1\nkind: Job\n" + owned("batch/v1", "CronJob"), remade},
		{"apiVersion: v1\nkind: Secret\n" + owned("example.org/v1", "Database"), ""},
		{"apiVersion: v1\nkind: PersistentVolumeClaim\n" + owned("apps/v1", "StatefulSet"), ""},
	} {
		if got := (blueFacts{}).fate(parse(t, "", tc.doc)[0]); got != tc.why {
			t.Errorf("the fate of\n%s\nis %q, want %q", tc.doc, got, tc.why)
		}
	}
}

func TestK09_EndpointsAreKeptOnlyForServicesWithoutASelector(t *testing.T) {
	facts := gatherFacts(parse(t, "shop", `
apiVersion: v1
kind: Service
metadata: {name: by-hand}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: fed}
spec: {selector: {app: shop}, ports: [{port: 80}]}`))
	for doc, why := range map[string]reason{
		"apiVersion: v1\nkind: Endpoints\nmetadata: {name: by-hand}":                                                               "",
		"apiVersion: v1\nkind: Endpoints\nmetadata: {name: fed}":                                                                   remade,
		"apiVersion: v1\nkind: Endpoints\nmetadata: {name: of-nobody}":                                                             remade,
		"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a, labels: {kubernetes.io/service-name: by-hand}}": "",
		"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a, labels: {kubernetes.io/service-name: fed}}":     remade,
		"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a, labels: {kubernetes.io/service-name: by-hand, endpointslice.kubernetes.io/managed-by: endpointslicemirroring-controller.k8s.io}}": remade,
	} {
		if got := facts.fate(parse(t, "shop", doc)[0]); got != why {
			t.Errorf("the fate of\n%s\nis %q, want %q", doc, got, why)
		}
	}
}

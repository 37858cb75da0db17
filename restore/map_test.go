package restore

import (
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// namespaced is what K18 lists: every field that an API types as a namespace. OLD becomes green-OLD in each of them.
const namespaced = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: OLD}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}
subjects: [{kind: ServiceAccount, name: a, namespace: OLD}, {kind: User, name: "system:serviceaccount:OLD:a"}, {kind: Group, name: "system:serviceaccounts:OLD"}, {kind: ServiceAccount, name: a, namespace: other}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: r}
rules: [{apiGroups: [""], resources: [namespaces], resourceNames: [OLD, other], verbs: [get]}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: w, annotations: {cert-manager.io/inject-ca-from: OLD/cert}}
webhooks: [{name: a, clientConfig: {service: {name: s, namespace: OLD}}, namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [OLD, other]}]}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: v}
spec: {paramRef: {name: p, namespace: OLD}, matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: OLD}}}}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: a}
spec: {service: {name: s, namespace: OLD}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: c}
spec: {conversion: {webhook: {clientConfig: {service: {name: s, namespace: OLD}}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: n, namespace: OLD}
spec: {ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: OLD}}}]}], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: OLD}}}]}]}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: p}
spec: {claimRef: {name: c, namespace: OLD}}
---
apiVersion: v1
kind: Endpoints
metadata: {name: e, namespace: OLD}
subsets: [{addresses: [{ip: 1.2.3.4, targetRef: {kind: Pod, name: p, namespace: OLD}}]}]
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: m, namespace: OLD}
spec: {namespaceSelector: {matchNames: [OLD, other]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: h, namespace: OLD}
spec: {parentRefs: [{name: g, namespace: OLD}], rules: [{backendRefs: [{name: s, namespace: OLD}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d, namespace: OLD}
spec: {template: {spec: {affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{namespaces: [OLD]}], preferredDuringSchedulingIgnoredDuringExecution: [{podAffinityTerm: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: OLD}}}}]}}}}}`

func TestK18_ANamespaceHasItsNewNameInEveryTypedReference(t *testing.T) {
	in := parse(t, "", strings.ReplaceAll(namespaced, "OLD", "shop"))
	want := parse(t, "", strings.ReplaceAll(namespaced, "OLD", "green-shop"))
	for i, obj := range in {
		t.Run(obj.GetKind(), func(t *testing.T) {
			namespaceMap{"shop": "green-shop"}.apply(obj)
			equal(t, obj, want[i])
		})
	}
}

func TestK18_TextIsReportedAndNotRewritten(t *testing.T) {
	objects := parse(t, "shop", `
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {url: "http://api.shop.svc.cluster.local/x", other: "api.elsewhere.svc", short: "api.shop:8080", word: "a workshop.shop"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {template: {spec: {containers: [{name: c, args: ["--db=db.shop.svc"], env: [{name: E, value: cache.shop.svc}]}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {type: ExternalName, externalName: x.shop.svc.cluster.local}
---
apiVersion: example.org/v1
kind: Database
metadata: {name: d}
spec: {secretNamespace: shop, backup: {namespace: shop, name: shop}}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
data: {url: YXBpLnNob3Auc3Zj}
stringData: {url: api.shop.svc}`)
	m := namespaceMap{"shop": "green-shop"}
	var found []string
	for _, obj := range objects {
		before := obj.DeepCopy()
		m.apply(obj)
		obj.SetNamespace("shop")
		equal(t, obj, before)
		found = append(found, m.mentions(obj)...)
		found = append(found, m.untyped(obj)...)
	}
	text := strings.Join(found, "\n")
	for _, want := range []string{"data.url: api.shop.svc", "data.short: api.shop:8080", "db.shop.svc", "cache.shop.svc", "x.shop.svc", "spec.secretNamespace: shop", "spec.backup.namespace: shop"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not reported in\n%s", want, text)
		}
	}
	if len(found) != 7 {
		t.Errorf("reported %d, want 7:\n%s", len(found), text)
	}
	if got := (namespaceMap{}).mentions(objects[0]); len(got) > 0 {
		t.Errorf("where no namespace moves, %v is reported", got)
	}
}

func TestK19_ClassesImagesHostsAndPortsAreMapped(t *testing.T) {
	tr := transformer{
		served: func(string, string) []string { return []string{"v1"} },
		opts: Options{Migration: "m", Ports: map[int32]int32{31000: 30001, 31001: 30002}, Maps: migration.Maps{
			StorageClasses: map[string]string{"gold": "fast"}, IngressClasses: map[string]string{"nginx": "traefik"},
			PriorityClasses: map[string]string{"high": "urgent"}, RuntimeClasses: map[string]string{"gvisor": "kata"},
			Registries: map[string]string{"docker.io/acme": "reg.green/acme", "old.reg:5000": "reg.green"}, Hosts: map[string]string{"a.blue": "a.green"},
		}},
	}
	const in = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: s, namespace: n}
spec:
  volumeClaimTemplates: [{metadata: {name: d}, spec: {storageClassName: gold}}]
  template:
    spec:
      priorityClassName: high
      runtimeClassName: gvisor
      initContainers: [{name: i, image: "old.reg:5000/init:1"}]
      containers: [{name: c, image: "acme/web:1"}, {name: d, image: "docker.io/acme/web@sha256:0"}, {name: e, image: "docker.io/acmes/web"}, {name: f, image: nginx}]
      volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {storageClassName: gold}}}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: n, annotations: {kubernetes.io/ingress.class: nginx, external-dns.alpha.kubernetes.io/hostname: "a.blue, b.blue"}}
spec: {ingressClassName: nginx, rules: [{host: a.blue}, {host: b.blue}], tls: [{hosts: [a.blue]}]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: q, namespace: n}
spec: {hard: {gold.storageclass.storage.k8s.io/requests.storage: 1Gi, pods: "3"}}
---
apiVersion: v1
kind: Service
metadata: {name: v, namespace: n}
spec: {type: LoadBalancer, healthCheckNodePort: 31001, ports: [{port: 1, nodePort: 31000}, {port: 2, nodePort: 31002}]}`
	const out = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: s, namespace: n, labels: {crossfade.dev/migration: m}}
spec:
  volumeClaimTemplates: [{metadata: {name: d}, spec: {storageClassName: fast}}]
  template:
    spec:
      priorityClassName: urgent
      runtimeClassName: kata
      initContainers: [{name: i, image: "reg.green/init:1"}]
      containers: [{name: c, image: "reg.green/acme/web:1"}, {name: d, image: "reg.green/acme/web@sha256:0"}, {name: e, image: "docker.io/acmes/web"}, {name: f, image: nginx}]
      volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {storageClassName: fast}}}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: n, labels: {crossfade.dev/migration: m}, annotations: {kubernetes.io/ingress.class: traefik, external-dns.alpha.kubernetes.io/hostname: "a.green, b.blue"}}
spec: {ingressClassName: traefik, rules: [{host: a.green}, {host: b.blue}], tls: [{hosts: [a.green]}]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: q, namespace: n, labels: {crossfade.dev/migration: m}}
spec: {hard: {fast.storageclass.storage.k8s.io/requests.storage: 1Gi, pods: "3"}}
---
apiVersion: v1
kind: Service
metadata: {name: v, namespace: n, labels: {crossfade.dev/migration: m}}
spec: {type: LoadBalancer, healthCheckNodePort: 30002, ports: [{port: 1, nodePort: 30001}, {port: 2}]}`
	want := parse(t, "", out)
	for i, blue := range parse(t, "", in) {
		obj, err := tr.running(blue)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, obj, want[i])
	}
}

func TestPatchesHaveTheLastWordAndNameBluesObjects(t *testing.T) {
	tr := transformer{
		served: func(string, string) []string { return []string{"v1"} },
		opts: Options{Migration: "m", Maps: migration.Maps{Namespaces: map[string]string{"shop": "green"}}, Patches: []migration.Patch{
			{Target: migration.Target{Kind: "ConfigMap", Namespace: "shop", Selector: "app=web"}, Merge: map[string]any{"data": map[string]any{"a": "merged", "gone": nil}}},
			{Target: migration.Target{Kind: "ConfigMap", Namespace: "shop", Name: "c"}, JSON: []migration.PatchOp{{Op: "test", Path: "/data/a", Value: "merged"}, {Op: "add", Path: "/data/b", Value: "added"}, {Op: "copy", From: "/data/b", Path: "/data/c"}}},
			{Target: migration.Target{Kind: "ConfigMap", Namespace: "green", Name: "c"}, Merge: map[string]any{"data": map[string]any{"a": "by green's name"}}},
		}},
	}
	blue := parse(t, "shop", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, labels: {app: web}}\ndata: {a: x, gone: y}")[0]
	obj, err := tr.running(blue)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, obj, parse(t, "green", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, labels: {app: web, crossfade.dev/migration: m}}\ndata: {a: merged, b: added, c: added}")[0])
	for _, bad := range []migration.Patch{
		{Target: migration.Target{Kind: "ConfigMap", Namespace: "shop"}, Merge: map[string]any{"metadata": map[string]any{"name": "other"}}},
		{Target: migration.Target{Kind: "ConfigMap", Namespace: "shop"}, Merge: map[string]any{"kind": "Secret"}},
		{Target: migration.Target{Kind: "ConfigMap", Namespace: "shop"}, JSON: []migration.PatchOp{{Op: "remove", Path: "/data/absent"}}},
		{Target: migration.Target{Kind: "ConfigMap", Namespace: "shop", Selector: "=="}},
	} {
		tr.opts.Patches = []migration.Patch{bad}
		if _, err := tr.running(blue); err == nil {
			t.Errorf("the patch %+v is applied", bad)
		}
	}
}

func TestI09_APatchThatDoesNotFitASecretDoesNotQuoteIt(t *testing.T) {
	secret := parse(t, "shop", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {password: Y29ycmVjdA==}")[0]
	err := applyPatch(secret, migration.Patch{JSON: []migration.PatchOp{{Op: "test", Path: "/data/password", Value: "guess"}}})
	if err == nil || strings.Contains(err.Error(), "Y29ycmVjdA") || strings.Contains(err.Error(), "guess") {
		t.Errorf("the error is %v", err)
	}
}

func TestK16_OldVersionsAreConvertedOrRefused(t *testing.T) {
	served := func(group, kind string) []string {
		return map[string][]string{
			"batch/CronJob": {"v1"}, "policy/PodDisruptionBudget": {"v1"}, "autoscaling/HorizontalPodAutoscaler": {"v2", "v1"},
			"networking.k8s.io/Ingress": {"v1"}, "example.org/Thing": {"v2"},
		}[group+"/"+kind]
	}
	for _, tc := range []struct{ name, in, out string }{
		{"served as it is", "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: x}", "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: x}"},
		{"CronJob", "apiVersion: batch/v1beta1\nkind: CronJob\nmetadata: {name: x}", "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x}"},
		{"HPA", "apiVersion: autoscaling/v2beta2\nkind: HorizontalPodAutoscaler\nmetadata: {name: x}", "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: x}"},
		{"Ingress", "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: x}\nspec: {backend: {serviceName: d, servicePort: http}, rules: [{http: {paths: [{path: /, backend: {serviceName: s, servicePort: 80}}]}}]}",
			"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: x}\nspec: {defaultBackend: {service: {name: d, port: {name: http}}}, rules: [{http: {paths: [{path: /, pathType: ImplementationSpecific, backend: {service: {name: s, port: {number: 80}}}}]}}]}"},
		{"a budget that chose nothing", "apiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata: {name: x}\nspec: {selector: {}}", ""},
		{"a kind that green does not serve", "apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: x}", ""},
		{"a custom version that green does not serve", "apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: x}", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			obj := parse(t, "", tc.in)[0]
			err := convert(obj, served)
			if (err != nil) != (tc.out == "") {
				t.Fatalf("the error is %v", err)
			}
			if err == nil {
				equal(t, obj, parse(t, "", tc.out)[0])
			}
		})
	}
}

func TestK08_AStaleOwnerIsNeverSent(t *testing.T) {
	obj := parse(t, "shop", "apiVersion: v1\nkind: Secret\nmetadata: {name: s, ownerReferences: [{apiVersion: example.org/v1, kind: Database, name: d, uid: stale}]}")[0]
	blankOwners(obj)
	if refs := obj.GetOwnerReferences(); len(refs) != 1 || refs[0].UID != "" {
		t.Errorf("the owners are %v", refs)
	}
}

func TestK15_TheOrderFollowsFromReferences(t *testing.T) {
	objects := parse(t, "shop", strings.ReplaceAll(demo, "GROUP", "shop")+`
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: tls}
spec: {secretName: keys}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: in}
spec: {rules: [{http: {paths: [{backend: {service: {name: web}}}]}}], tls: [{secretName: keys}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: np}
spec: {podSelector: {matchLabels: {app: shop}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: hpa}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: quota}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: hook}
webhooks: [{clientConfig: {service: {name: web, namespace: shop}}}]
---
apiVersion: example.org/v1
kind: Child
metadata: {name: child, ownerReferences: [{apiVersion: example.org/v1, kind: Parent, name: parent}]}
---
apiVersion: example.org/v1
kind: Parent
metadata: {name: parent}`)
	levels, circles := order(objects)
	if len(circles) > 0 {
		t.Errorf("circles: %v", circles)
	}
	at := func(kind, name string) int {
		t.Helper()
		for k, level := range levels {
			if k.Kind == kind && k.Name == name {
				return level
			}
		}
		t.Fatalf("no %s %s", kind, name)
		return 0
	}
	for _, pair := range [][4]string{
		{"CustomResourceDefinition", "offers.shop.crossfade.test", "Offer", "spring"},
		{"ConfigMap", "settings", "Deployment", "web"}, {"Secret", "keys", "Deployment", "web"},
		{"ServiceAccount", "shop", "RoleBinding", "reads"}, {"Role", "reads", "RoleBinding", "reads"}, {"RoleBinding", "reads", "Deployment", "web"},
		{"Service", "web", "Deployment", "web"}, {"NetworkPolicy", "np", "Deployment", "web"}, {"Deployment", "web", "HorizontalPodAutoscaler", "hpa"},
		{"Secret", "keys", "Certificate", "tls"}, {"Service", "web", "Ingress", "in"}, {"Secret", "keys", "Ingress", "in"},
		{"Parent", "parent", "Child", "child"}, {"Deployment", "web", "ResourceQuota", "quota"}, {"ResourceQuota", "quota", "ValidatingWebhookConfiguration", "hook"},
		{"Secret", "keys", "Offer", "spring"},
	} {
		if at(pair[0], pair[1]) >= at(pair[2], pair[3]) {
			t.Errorf("%s %s is at level %d, not before %s %s at %d", pair[0], pair[1], at(pair[0], pair[1]), pair[2], pair[3], at(pair[2], pair[3]))
		}
	}
	slices.Reverse(objects)
	again, _ := order(objects)
	for k, level := range levels {
		if again[k] != level {
			t.Errorf("%s is at level %d or %d, by the order of the archive", k, level, again[k])
		}
	}
}

func TestK15_ACircleIsBroken(t *testing.T) {
	objects := parse(t, "shop", `
apiVersion: example.org/v1
kind: A
metadata: {name: a, ownerReferences: [{apiVersion: example.org/v1, kind: B, name: b}]}
---
apiVersion: example.org/v1
kind: B
metadata: {name: b, ownerReferences: [{apiVersion: example.org/v1, kind: A, name: a}]}`)
	levels, circles := order(objects)
	if len(levels) != 2 || len(circles) != 1 || circles[0].Name != "a" {
		t.Errorf("levels %v, circles %v", levels, circles)
	}
}

package restore

import (
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// demo is a small application with what blue's servers wrote into it.
const demo = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: offers.GROUP.crossfade.test}
spec:
  group: GROUP.crossfade.test
  scope: Namespaced
  names: {kind: Offer, plural: offers, singular: offer}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: GROUP.crossfade.test/v1
kind: Offer
metadata: {name: spring, uid: 1-2-3, resourceVersion: "5"}
spec: {percent: 10, secretName: keys}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: live, api: "http://web.shop.svc:80"}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
data: {password: Y29ycmVjdC1ob3JzZQ==}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reads}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reads}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads}
subjects: [{kind: ServiceAccount, name: shop, namespace: shop}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, clusterIP: 10.7.0.9, clusterIPs: [10.7.0.9], selector: {app: shop}, ports: [{port: 80, nodePort: 31999}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, generation: 4, annotations: {deployment.kubernetes.io/revision: "3"}}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {serviceAccountName: shop, containers: [{name: c, image: i, envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: keys}}]}]}
status: {replicas: 2}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: clock}
spec:
  schedule: "* * * * *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}
status: {lastScheduleTime: "2026-11-21T11:59:00Z"}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, uid: old, labels: {controller-uid: old}}
spec:
  selector: {matchLabels: {controller-uid: old}}
  template: {metadata: {labels: {controller-uid: old, job-name: once, app: job}}, spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: done}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}
status: {conditions: [{type: Complete, status: "True"}]}`

func TestAnApplicationComesOverWholeAndOnce(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, demo)
	f.opts.Ports = map[int32]int32{31999: 30099}
	p, res := f.restore(t)
	if res.Created != 11 || len(p.Changes) != 11 {
		t.Errorf("made %+v of %d changes", res, len(p.Changes))
	}
	web := f.get(t, "", "Service", "web")
	if port, _ := digInt(digMaps(web, "spec", "ports")[0], "nodePort"); port != 30099 || digString(web, "spec", "clusterIP") == "10.7.0.9" {
		t.Errorf("the Service is %v", web["spec"])
	}
	if subject := digMaps(f.get(t, rbacGroup, "RoleBinding", "reads"), "subjects")[0]; subject["namespace"] != f.ns {
		t.Errorf("the binding's subject is %v", subject)
	}
	if percent, _ := digInt(f.get(t, f.ns+".crossfade.test", "Offer", "spring"), "spec", "percent"); percent != 10 {
		t.Error("the custom resource is not as blue's")
	}
	for _, c := range p.Changes {
		if c.Reverse == nil || c.Why == "" || len(c.ReliesOn) == 0 {
			t.Errorf("change %s has no reverse, reason or reliance", c.ID)
		}
	}
	if again := f.plan(t); len(again.Changes) != 0 {
		t.Errorf("planned again: %v", again.Changes)
	}
}

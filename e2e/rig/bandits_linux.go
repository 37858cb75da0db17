package rig

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/template"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/e2e/rig/process"
	"github.com/crossfade-project/crossfade/examples/demo/manifests"
)

// Bandits are small applications beside each other: the demo's happy-bandit, with one replica each, under names of their own.
type Bandits struct {
	// Namespace holds all of them, and is a part of their hostnames.
	Namespace string
	// TTLs are those of the CNAME records in seconds, one for each application.
	TTLs []uint32
}

// App is the name of an application, from 0 on; of its workload, its Service and its label app.
func (b Bandits) App(i int) string { return fmt.Sprintf("bandit-%02d", i+1) }

// Host is its hostname.
func (b Bandits) Host(i int) string { return b.App(i) + "-" + b.Namespace + ".apps.test" }

// bandit is one application.
const bandit = `apiVersion: v1
kind: ServiceAccount
metadata: {name: {{.App}}, namespace: {{.Namespace}}, labels: {app: {{.App}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{.App}}, namespace: {{.Namespace}}, labels: {app: {{.App}}}}
spec:
  replicas: 1
  revisionHistoryLimit: 2
  selector: {matchLabels: {app: {{.App}}}}
  template:
    metadata: {labels: {app: {{.App}}}}
    spec:
      serviceAccountName: {{.App}}
      enableServiceLinks: false
      terminationGracePeriodSeconds: 10
      containers:
        - name: happy-bandit
          image: {{.Image}}
          imagePullPolicy: IfNotPresent
          ports: [{name: http, containerPort: 8080}]
          env: [{name: SIDE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
          readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
          resources: {requests: {cpu: 5m, memory: 16Mi}}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, runAsNonRoot: true, runAsUser: 65532}
---
apiVersion: v1
kind: Service
metadata: {name: {{.App}}, namespace: {{.Namespace}}, labels: {app: {{.App}}}}
spec:
  type: LoadBalancer
  selector: {app: {{.App}}}
  ports: [{name: http, port: 80, targetPort: http, protocol: TCP}]
`

func (b Bandits) render() (string, error) {
	one, err := template.New("bandit").Parse(bandit)
	if err != nil {
		return "", err
	}
	var stream strings.Builder
	stream.WriteString("apiVersion: v1\nkind: Namespace\nmetadata: {name: " + b.Namespace + "}\n")
	for n := range b.TTLs {
		stream.WriteString("---\n")
		values := map[string]string{"App": b.App(n), "Namespace": b.Namespace, "Image": manifests.Image(registry("blue"), "happy-bandit")}
		if err := one.Execute(&stream, values); err != nil {
			return "", err
		}
	}
	return stream.String(), nil
}

// DeployBandits puts them on blue, with their names, and returns when users are served.
func (i *Info) DeployBandits(ctx context.Context, b Bandits) error {
	stream, err := b.render()
	if err != nil {
		return fmt.Errorf("render the applications of %s: %w", b.Namespace, err)
	}
	blue := i.Side("blue")
	if err := process.WaitUntil(ctx, deployLimit, func(ctx context.Context) error { return blue.apply(ctx, stream) }); err != nil {
		return fmt.Errorf("apply the applications of %s: %w", b.Namespace, err)
	}
	for n, ttl := range b.TTLs {
		entry, err := blue.Balancer(ctx, b.Namespace, b.App(n))
		if err != nil {
			return err
		}
		if err := i.alias(ctx, b.Host(n), entry.Hostname, ttl); err != nil {
			return err
		}
		if err := i.waitName(ctx, b.Host(n), entry.Hostname); err != nil {
			return err
		}
		if err := waitAnswer(ctx, "http://"+entry.IP+"/"); err != nil {
			return err
		}
	}
	return nil
}

// RemoveBandits takes them from both clusters, with the roles of the migration that has their namespace's name, and their names from
// the zone.
func (i *Info) RemoveBandits(ctx context.Context, b Bandits) error {
	failed := []error{i.Revoke(ctx, b.Namespace)}
	for _, side := range i.Sides {
		client, err := side.Client()
		if err != nil {
			return err
		}
		err = client.CoreV1().Namespaces().Delete(ctx, b.Namespace, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			failed = append(failed, fmt.Errorf("remove %s from %s: %w", b.Namespace, side.Name, err))
		}
	}
	for n := range b.TTLs {
		failed = append(failed, i.clearName(ctx, b.Host(n), "CNAME"), i.clearName(ctx, "_crossfade-"+b.Host(n), "TXT"))
	}
	return errors.Join(failed...)
}

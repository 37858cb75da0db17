package scaffold

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// envUpdate, set to anything, writes the golden files instead of comparing with them.
const envUpdate = "UPDATE_GOLDEN"

// surveyOf makes the facts of one namespace from its objects, as Look does.
func surveyOf(t *testing.T, namespace string, stream []byte) Namespace {
	t.Helper()
	ns := Namespace{Name: namespace, Claims: map[string]string{}, Settings: map[string]map[string]string{}, Secrets: map[string][]string{}}
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(stream)))
	for {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return ns
		}
		if err != nil {
			t.Fatal(err)
		}
		var kind struct{ Kind string }
		decode(t, doc, &kind)
		switch kind.Kind {
		case "Deployment":
			ns.Workloads = append(ns.Workloads, deploymentOf(typed[appsv1.Deployment](t, doc)))
		case "StatefulSet":
			ns.Workloads = append(ns.Workloads, statefulSetOf(typed[appsv1.StatefulSet](t, doc)))
		case "DaemonSet":
			ns.Workloads = append(ns.Workloads, daemonSetOf(typed[appsv1.DaemonSet](t, doc)))
		case "CronJob":
			ns.Workloads = append(ns.Workloads, cronJobOf(typed[batchv1.CronJob](t, doc)))
		case "Service":
			ns.Services = append(ns.Services, serviceOf(typed[corev1.Service](t, doc)))
		case "Ingress":
			ns.Ingresses = append(ns.Ingresses, ingressOf(typed[networkingv1.Ingress](t, doc)))
		case "PersistentVolumeClaim":
			c := typed[corev1.PersistentVolumeClaim](t, doc)
			ns.Claims[c.Name] = classOf(c.Spec)
		case "ConfigMap":
			c := typed[corev1.ConfigMap](t, doc)
			ns.Settings[c.Name] = c.Data
		case "Secret":
			s := typed[corev1.Secret](t, doc)
			s.Data = map[string][]byte{}
			for k, v := range s.StringData {
				s.Data[k] = []byte(v)
			}
			ns.Secrets[s.Name] = keyNames(&s)
		}
	}
}

func decode(t *testing.T, doc []byte, into any) {
	t.Helper()
	if err := yaml.Unmarshal(doc, into); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
}

func typed[T any](t *testing.T, doc []byte) T {
	t.Helper()
	var v T
	decode(t, doc, &v)
	return v
}

// golden compares a draft with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv(envUpdate) != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (%s=1 go test -run %s writes it)\n%s", path, envUpdate, t.Name(), got)
	}
}

func draftOf(t *testing.T, s *Survey, opts ProposeOptions) *Draft {
	t.Helper()
	d, err := Propose(s, opts).Render()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The file wants the address of the server that takes a zone's changes: one that the delegation does not name is known by its name only,
// and a person must say where it is.
func TestAHiddenPrimaryIsAskedFor(t *testing.T) {
	name, addr := primaryOf(dnsx.Delegation{Cut: dnsx.Cut{SOA: dnsx.SOA{Zone: "example.com.", Primary: "hidden.example.net."}}}, nil)
	if name != "hidden.example.net" || addr != "" {
		t.Errorf("primary = %q at %q", name, addr)
	}
	p := Proposal{
		survey: &Survey{Names: map[string]Name{"www.example.com": {Zone: "example.com", Server: addr, ServerName: name}}},
		apps:   []appGuess{{hosts: []hostGuess{{name: "www.example.com"}}}},
	}
	p.guessZones()
	if len(p.zones) != 1 || p.zones[0].serverName != name || !strings.Contains(p.zones[0].server, "address:port, such as 192.0.2.53:53") {
		t.Errorf("zones = %+v", p.zones)
	}
}

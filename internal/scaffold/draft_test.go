package scaffold

import (
	"testing"

	"github.com/crossfade-project/crossfade/examples/demo/manifests"
)

func demoSurvey(t *testing.T) *Survey {
	t.Helper()
	stream, err := manifests.Render(manifests.Values{
		Registry: "registry.blue.test",
		Shop:     manifests.Store{URL: "s3://shop-data?endpoint=http%3A%2F%2F10.213.0.1%3A7070&region=us-east-1", AccessKey: "id", SecretKey: "CANARY-of-shop"},
		Clock:    manifests.Store{URL: "s3://clock-data?endpoint=http%3A%2F%2F10.213.0.1%3A7070&region=us-east-1", AccessKey: "id", SecretKey: "CANARY-of-clock"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ns := surveyOf(t, "demo", stream)
	for i := range ns.Services {
		ns.Services[i].Entry = Entry{Hostnames: []string{ns.Services[i].Name + ".demo.blue.lb.test"}}
	}
	return &Survey{
		Blue:       Side{Kubeconfig: "blue.kubeconfig", Context: "blue", Server: "https://10.213.0.11:6443", Version: "v1.28.15"},
		Green:      Side{Kubeconfig: "green.kubeconfig", Context: "green", Server: "https://10.213.0.12:6443", Version: "v1.36.3"},
		Namespaces: []Namespace{ns},
		Resolvers:  []string{"10.213.0.55:53"},
		Names: map[string]Name{
			"shop.apps.test":         {Zone: "apps.test", Server: "10.213.0.53:53", ServerName: "ns1.apps.test", Target: "shop.demo.blue.lb.test"},
			"happy-bandit.apps.test": {Zone: "apps.test", Server: "10.213.0.53:53", ServerName: "ns1.apps.test", Target: "happy-bandit.demo.blue.lb.test"},
		},
	}
}

func TestDraftOfTheDemo(t *testing.T) {
	golden(t, "demo.yaml", draftOf(t, demoSurvey(t), ProposeOptions{Rehearsal: true}).Text)
}

package kubetest

import (
	_ "embed"
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// GatewayKinds are definitions of HTTPRoute, Gateway and ReferenceGrant, cut down; see the comment at their head.
//
//go:embed gateway.yaml
var GatewayKinds string

// Gateway lets the server serve the kinds of the Gateway API. There is no controller: a test writes their status itself.
func Gateway(t testing.TB, c *kube.Client) {
	t.Helper()
	definitions := c.Dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	for _, doc := range strings.Split(GatewayKinds, "\n---\n") {
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &obj.Object); err != nil {
			t.Fatal(err)
		}
		if _, err := definitions.Create(t.Context(), obj, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	until := time.Now().Add(2 * time.Minute)
	for _, kind := range []string{"HTTPRoute", "Gateway", "ReferenceGrant"} {
		for {
			_, err := c.ResourceFor(t.Context(), "gateway.networking.k8s.io", kind)
			if err == nil {
				break
			}
			if !errors.Is(err, kube.ErrNotServed) || time.Now().After(until) {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

package manifests

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func example() Values {
	return Values{
		Registry: "registry.blue.test",
		Shop:     Store{URL: "s3://shop-data?endpoint=http://10.0.0.1:9000&region=eu-1", AccessKey: "shop", SecretKey: `a"b: #c`},
		Clock:    Store{URL: "s3://clock-data?endpoint=http://10.0.0.1:9000", AccessKey: "clock", SecretKey: "true"},
	}
}

func decode(t *testing.T, stream []byte) []unstructured.Unstructured {
	t.Helper()
	var objects []unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(stream), 4096)
	for {
		var object unstructured.Unstructured
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatalf("after %d documents: %v", len(objects), err)
		}
		if object.Object != nil {
			objects = append(objects, object)
		}
	}
}

func TestRenderIsOneStreamInTheOrderToApply(t *testing.T) {
	stream, err := Render(example())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, object := range decode(t, stream) {
		got = append(got, object.GetKind()+"/"+object.GetName())
		namespaced := object.GetKind() != "Namespace" && object.GetKind() != "CustomResourceDefinition"
		if namespaced && object.GetNamespace() != Namespace {
			t.Errorf("%s %s is in namespace %q, want %s", object.GetKind(), object.GetName(), object.GetNamespace(), Namespace)
		}
	}
	want := []string{
		"Namespace/demo", "Role/find-replicas", "RoleBinding/find-replicas",
		"CustomResourceDefinition/banners.demo.crossfade.example",
		"ServiceAccount/happy-bandit", "Deployment/happy-bandit", "Service/happy-bandit",
		"ServiceAccount/shop", "ConfigMap/shop-config", "Secret/shop-store", "Deployment/shop", "Service/shop",
		"ConfigMap/clock-config", "Secret/clock-store", "CronJob/clock",
		"Banner/opening",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("objects:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRenderKeepsValuesAsTheyAre(t *testing.T) {
	v := example()
	stream, err := Render(v)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, object := range decode(t, stream) {
		for _, field := range []string{"data", "stringData"} {
			data, _, err := unstructured.NestedStringMap(object.Object, field)
			if err != nil {
				t.Fatalf("%s of %s: %v", field, object.GetName(), err)
			}
			for key, value := range data {
				values[object.GetName()+"/"+key] = value
			}
		}
	}
	for key, want := range map[string]string{
		"shop-config/READ_ONLY":        "false",
		"shop-config/STORE_URL":        v.Shop.URL,
		"shop-store/STORE_SECRET_KEY":  v.Shop.SecretKey,
		"clock-store/STORE_SECRET_KEY": "true",
	} {
		if values[key] != want {
			t.Errorf("%s = %q, want %q", key, values[key], want)
		}
	}
	for _, app := range Apps() {
		if image := "registry.blue.test/crossfade-demo/" + app + ":1"; !bytes.Contains(stream, []byte(image)) {
			t.Errorf("no image %s", image)
		}
	}
}

func TestRenderNamesEveryMissingValue(t *testing.T) {
	v := example()
	v.Registry, v.Clock.SecretKey = "", ""
	_, err := Render(v)
	if err == nil || !strings.Contains(err.Error(), "Registry") || !strings.Contains(err.Error(), "Clock.SecretKey") {
		t.Errorf("Render = %v, want an error that names Registry and Clock.SecretKey", err)
	}
}

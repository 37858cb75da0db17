package restore

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A webhook that repeats the Secret that it refuses must not bring it into the journal.
func TestI09_AnErrorAboutASecretDoesNotRepeatIt(t *testing.T) {
	const value = "a-quiet-word-9"
	coded := base64.StdEncoding.EncodeToString([]byte(value))
	refused := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "login", fmt.Errorf("%s (%s) is too weak", value, coded))
	secret := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "data": map[string]any{"password": coded}}}
	got := discreet(secret, refused)
	if strings.Contains(got.Error(), value) || strings.Contains(got.Error(), coded) {
		t.Errorf("the error says %v", got)
	}
	if !apierrors.IsForbidden(got) || !errors.Is(got, refused) {
		t.Error("the error lost its cause")
	}
	config := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"k": value}}}
	if err := discreet(config, refused); !errors.Is(err, refused) || err.Error() != refused.Error() {
		t.Errorf("the error about a ConfigMap became %v", err)
	}
}

package restore

import (
	"encoding/base64"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/internal/redact"
)

// discreet takes a Secret's values out of an error about it: those who judge it on green, admission webhooks above all, may
// repeat what they refuse (I9).
func discreet(obj *unstructured.Unstructured, err error) error {
	if err == nil || !keyOf(obj).is("", "Secret") {
		return err
	}
	r := redact.New()
	for _, v := range dig(obj.Object, "stringData") {
		if text, ok := v.(string); ok {
			r.Learn(text)
		}
	}
	for _, v := range dig(obj.Object, "data") {
		text, ok := v.(string)
		if !ok {
			continue
		}
		r.Learn(text)
		if raw, derr := base64.StdEncoding.DecodeString(text); derr == nil {
			r.Learn(string(raw))
		}
	}
	return r.Error(err)
}

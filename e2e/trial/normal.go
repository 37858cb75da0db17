package trial

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// What a fingerprint leaves out, and why. Everything else must be equal.
//
//	metadata: uid, resourceVersion, generation, managedFields, selfLink   bookkeeping of the server, of how often it was asked
//	times, wherever they stand                                            when, not what
//	addresses that a server hands out: clusterIP                          differ between two objects of one content
//	addresses, ports and node ports of the trial                          each trial has others
//	the trial's name, also in what follows from it                        each trial has another
//	content hashes of our annotation, tokens of fences                    follow from names, or are random
//	the hash in the name of what stands in front of blue, or leads to     follows from addresses, ports and names
//	  green; that of a fence's annotation
//	status, but for that of Deployments, Jobs, Services, Namespaces       written by controllers as often as they like
//	kinds that controllers derive: see derived                            follow from what is compared

// derived are the kinds whose objects follow from others by a controller, and events.
func derived(r kube.Resource) bool {
	switch r.String() {
	case "events", "events.events.k8s.io", "endpoints", "endpointslices.discovery.k8s.io", "replicasets.apps", "controllerrevisions.apps", "pods", "podtemplates":
		return true
	}
	return false
}

// normal returns an object's text without what fingerprints leave out.
func (t *Trial) normal(obj *unstructured.Unstructured) (string, error) {
	obj = obj.DeepCopy()
	for _, field := range []string{"uid", "resourceVersion", "generation", "managedFields", "selfLink", "creationTimestamp"} {
		unstructured.RemoveNestedField(obj.Object, "metadata", field)
	}
	if a := obj.GetAnnotations(); a[kube.AnnotationContent] != "" {
		a[kube.AnnotationContent] = "(hash)"
		obj.SetAnnotations(a)
	}
	for key := range obj.GetAnnotations() {
		if a := obj.GetAnnotations(); strings.HasPrefix(key, fenceAnnotation) {
			delete(a, key)
			a[fenceAnnotation+"HASH"] = "(token)"
			obj.SetAnnotations(a)
		}
	}
	status, _ := obj.Object["status"].(map[string]any)
	delete(obj.Object, "status")
	switch obj.GetKind() {
	case "Deployment":
		keep(obj, status, "replicas", "readyReplicas", "availableReplicas", "updatedReplicas")
	case "Job":
		keep(obj, status, "succeeded", "failed", "active")
	case "Namespace":
		keep(obj, status, "phase")
	case "Service":
		keep(obj, status, "loadBalancer")
		for _, field := range []string{"clusterIP", "clusterIPs"} {
			if ip := fmt.Sprint(obj.Object["spec"].(map[string]any)[field]); !strings.Contains(ip, "None") {
				unstructured.RemoveNestedField(obj.Object, "spec", field)
			}
		}
	case "Secret":
		data, _, err := unstructured.NestedStringMap(obj.Object, "data")
		if err != nil {
			return "", err
		}
		for k, v := range data {
			if clear, err := base64.StdEncoding.DecodeString(v); err == nil {
				data[k] = string(clear) // the trial's name stands in it
			}
		}
		if err := unstructured.SetNestedStringMap(obj.Object, data, "data"); err != nil {
			return "", err
		}
	}
	raw, err := json.MarshalIndent(obj.Object, "", " ")
	return t.anonymous(string(raw)), err
}

// fenceAnnotation begins the key of a fence at an object that keeps a name.
const fenceAnnotation = "crossfade.dev/fence-"

func keep(obj *unstructured.Unstructured, status map[string]any, fields ...string) {
	kept := map[string]any{}
	for _, f := range fields {
		if v, ok := status[f]; ok {
			kept[f] = v
		}
	}
	obj.Object["status"] = kept
}

var (
	anyUUID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	front   = regexp.MustCompile(`(crossfade-(?:forwarder|brown-out|api)[a-z0-9-]*)-[0-9a-f]{8,}\b`)
	anyTime = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)
)

// anonymous replaces what differs between two trials of equal content.
func (t *Trial) anonymous(text string) string {
	text = strings.ReplaceAll(text, t.Name, "TRIAL")
	text = strings.ReplaceAll(text, strconv.Itoa(t.nodePort), "NODEPORT")
	text = strings.ReplaceAll(text, strconv.Itoa(t.Web.Port), "PORT")
	for side, address := range t.Web.At {
		text = regexp.MustCompile(regexp.QuoteMeta(address)+`\b`).ReplaceAllString(text, "("+side+")")
	}
	text = front.ReplaceAllString(text, "$1-HASH")
	text = anyUUID.ReplaceAllString(text, "UID")
	return anyTime.ReplaceAllString(text, "TIME")
}

// Diff lists, one entry of the listing after the other, what two fingerprints differ in: - is only in the first, + only in
// the second. It is empty where they are equal.
func Diff(a, b Fingerprint) string {
	var out strings.Builder
	keys := map[string]bool{}
	for k := range a.Entries {
		keys[k] = true
	}
	for k := range b.Entries {
		keys[k] = true
	}
	for _, k := range sorted(keys) {
		was, before := a.Entries[k]
		is, after := b.Entries[k]
		switch {
		case !after:
			fmt.Fprintf(&out, "- %s\n", k)
		case !before:
			fmt.Fprintf(&out, "+ %s\n", k)
		case was != is:
			fmt.Fprintf(&out, "! %s\n", k)
			diffLines(&out, was, is)
		}
	}
	return out.String()
}

// diffLines writes the lines that only one of two texts has.
func diffLines(out *strings.Builder, a, b string) {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for _, l := range x {
		if !slices.Contains(y, l) {
			fmt.Fprintf(out, "    - %s\n", strings.TrimSpace(l))
		}
	}
	for _, l := range y {
		if !slices.Contains(x, l) {
			fmt.Fprintf(out, "    + %s\n", strings.TrimSpace(l))
		}
	}
}

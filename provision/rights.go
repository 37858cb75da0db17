package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/internal/kube"
)

const (
	blue  = "blue"
	green = "green"
)

// Rights lists what standing up green's namespaces needs. Making them is not among it: whoever gives rights in a namespace
// has to make it first.
func Rights(opts Options) []kube.Right {
	const (
		whyPlace = "provision: which cluster this is, so that blue and green are not the same place"
		whyNS    = "provision: green's namespaces are those of blue"
		whySight = "provision: what green's nodes and storage look like"
		whyAdopt = "provision: restore.conflicts says that namespaces are adopted"
	)
	system := []string{metav1.NamespaceSystem}
	rights := []kube.Right{
		{Side: blue, Resource: "namespaces", Verbs: []string{"get"}, Names: system, Why: whyPlace},
		{Side: green, Resource: "namespaces", Verbs: []string{"get"}, Names: system, Why: whyPlace},
		{Side: green, Resource: "nodes", Verbs: []string{"list"}, Why: whySight},
		{Side: green, Group: "storage.k8s.io", Resource: "storageclasses", Verbs: []string{"list"}, Why: whySight},
	}
	for from, to := range opts.Namespaces {
		rights = append(rights,
			kube.Right{Side: blue, Resource: "namespaces", Verbs: []string{"get"}, Names: []string{from}, Why: whyNS},
			kube.Right{Side: green, Resource: "namespaces", Verbs: []string{"get"}, Names: []string{to}, Why: whyNS},
		)
		if opts.Adopt {
			rights = append(rights, kube.Right{Side: green, Resource: "namespaces", Verbs: []string{"patch"}, Names: []string{to}, Why: whyAdopt})
		}
	}
	return rights
}

// ContentRights lists what it takes to see whether anything is in namespaces that are on green already and not this migration's.
func ContentRights(ctx context.Context, client *kube.Client, namespaces []string) ([]kube.Right, error) {
	if len(namespaces) == 0 {
		return nil, nil
	}
	resources, _, err := client.Resources(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what green serves: %w", err)
	}
	var rights []kube.Right
	for _, r := range resources {
		if !looked(r) {
			continue
		}
		for _, ns := range namespaces {
			rights = append(rights, kube.Right{
				Side: green, Namespace: ns, Group: r.Group, Resource: r.Resource, Verbs: []string{"list"},
				Why: "provision: the namespace is on green already; whether something is in it is known when all kinds have been read",
			})
		}
	}
	return rights, nil
}

// DestroyRights lists what the end of blue's namespaces needs, given the objects that stand behind their claims.
func DestroyRights(namespaces []string, volumes []*unstructured.Unstructured) []kube.Right {
	if len(namespaces) == 0 {
		return nil
	}
	const whyVolumes = "retire: the volumes of deleted namespaces are kept"
	rights := []kube.Right{
		{Side: blue, Resource: "namespaces", Verbs: []string{"get", "delete"}, Names: namespaces, Why: "retire: the namespaces that the file names are deleted"},
		{Side: blue, Resource: "persistentvolumes", Verbs: []string{"list"}, Why: whyVolumes},
	}
	for _, ns := range namespaces {
		for _, gk := range workloads() {
			rights = append(rights, kube.Right{
				Side: blue, Namespace: ns, Group: gk.Group, Resource: strings.ToLower(gk.Kind) + "s", Verbs: []string{"list"},
				Why: "retire: nothing that has not moved runs in the namespaces that are deleted",
			})
		}
	}
	for _, pv := range volumes {
		claim, _, _ := unstructured.NestedString(pv.Object, "spec", "claimRef", "namespace")
		policy, _, _ := unstructured.NestedString(pv.Object, "spec", "persistentVolumeReclaimPolicy")
		if slices.Contains(namespaces, claim) && policy != string(corev1.PersistentVolumeReclaimRetain) {
			rights = append(rights, kube.Right{Side: blue, Resource: "persistentvolumes", Verbs: []string{"get", "patch"}, Names: []string{pv.GetName()}, Why: whyVolumes})
		}
	}
	return rights
}

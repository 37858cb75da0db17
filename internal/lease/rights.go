package lease

import "github.com/crossfade-project/crossfade/internal/kube"

// Rights lists what InCluster needs there.
func Rights(side, namespace, migration string) []kube.Right {
	const why = "every verb that changes something: a Lease keeps a second run out"
	r := kube.Right{Side: side, Namespace: namespace, Group: "coordination.k8s.io", Resource: "leases", Why: why}
	made, own := r, r
	made.Verbs = []string{"create"}
	own.Verbs, own.Names = []string{"get", "update", "delete"}, []string{NameInCluster(migration)}
	return []kube.Right{made, own}
}

package export

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// Reasons for which an object that was read is not archived: green makes it by itself, or must not have it.
const (
	dropController = "made again by its controller"
	dropEndpoints  = "made again from its Service's selector"
	dropServer     = "made by every cluster for its namespaces"
	dropToken      = "a token that is good on blue only"
	dropLease      = "a lease or a record of leadership"
	dropDeleting   = "being deleted"
	dropFinished   = "a finished Pod without a controller"
	dropIssuance   = "one attempt to issue a certificate"
	dropOurs       = "made by this migration"
	dropEntry      = "made by a migration to lead requests to green"
	dropFront      = "made by a migration to stand in front of a Service"
	dropRights     = "the rights of the migration's own account"
)

// Labels and annotations that others write.
const (
	labelSliceManager  = "endpointslice.kubernetes.io/managed-by"
	labelSliceService  = "kubernetes.io/service-name"
	annotationLeader   = "control-plane.alpha.kubernetes.io/leader"
	annotationDockercf = "openshift.io/token-secret.name"
)

// neverExported are kinds that say what happened or who leads, not what is wanted.
func neverExported(r kube.Resource) bool {
	switch r.GroupResource() {
	case schema.GroupResource{Resource: "events"}, schema.GroupResource{Group: "events.k8s.io", Resource: "events"},
		schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}:
		return true
	}
	return false
}

// dropper decides what of a namespace is left behind. Its zero value knows no Service without a selector.
type dropper struct {
	migration string
	// selectorless holds the Services without a selector, as namespace/name: their endpoints are somebody's own (K9).
	selectorless map[string]bool
}

// reason returns why an object is not archived, or "".
func (d dropper) reason(obj *unstructured.Unstructured) string {
	switch {
	case obj.GetDeletionTimestamp() != nil:
		return dropDeleting
	case obj.GetLabels()[kube.LabelMigration] == d.migration && d.migration != "" && obj.GetKind() == "Pod":
		return dropOurs
	case obj.GetLabels()[kube.LabelFront] != "":
		return dropFront
	case obj.GetLabels()[kube.LabelComponent] == kube.ComponentEntry:
		return dropEntry
	case obj.GetLabels()[kube.LabelComponent] == kube.ComponentRights && obj.GroupVersionKind().Group == groupRBAC:
		return dropRights
	case obj.GetAnnotations()[annotationLeader] != "":
		return dropLease
	case madeAgain(obj):
		return dropController
	}
	switch obj.GroupVersionKind().GroupKind() {
	case schema.GroupKind{Kind: "Endpoints"}:
		if !d.selectorless[obj.GetNamespace()+"/"+obj.GetName()] {
			return dropEndpoints
		}
	case schema.GroupKind{Group: "discovery.k8s.io", Kind: "EndpointSlice"}:
		if managedSlice(obj) || !d.selectorless[obj.GetNamespace()+"/"+obj.GetLabels()[labelSliceService]] {
			return dropEndpoints
		}
	case schema.GroupKind{Kind: "ConfigMap"}:
		if obj.GetName() == "kube-root-ca.crt" {
			return dropServer
		}
	case schema.GroupKind{Kind: "ServiceAccount"}:
		if obj.GetName() == "default" && untouched(obj) {
			return dropServer
		}
	case schema.GroupKind{Kind: "Secret"}:
		if isToken(obj) {
			return dropToken
		}
	case schema.GroupKind{Kind: "Pod"}:
		if phase, _, _ := unstructured.NestedString(obj.Object, "status", "phase"); phase == "Succeeded" || phase == "Failed" {
			return dropFinished
		}
	}
	if obj.GroupVersionKind().Group == "acme.cert-manager.io" || obj.GetKind() == "CertificateRequest" && obj.GroupVersionKind().Group == "cert-manager.io" {
		return dropIssuance
	}
	return ""
}

// madeAgain reports whether a controller of Kubernetes itself makes the object from its owner (K8). What an operator makes
// from a custom resource is kept: whether green has that operator is not known here.
func madeAgain(obj *unstructured.Unstructured) bool {
	owner := metav1.GetControllerOf(obj)
	if owner == nil {
		return false
	}
	group, _, _ := strings.Cut(owner.APIVersion, "/")
	switch {
	case !strings.Contains(owner.APIVersion, "/"):
		switch owner.Kind {
		case "ReplicationController", "Pod", "Node", "Service", "Endpoints":
			return true
		}
	case group == "apps":
		// A claim that a StatefulSet owns holds data: only its declaration is made again.
		return obj.GetKind() != "PersistentVolumeClaim"
	case group == "batch":
		return owner.Kind == "Job" || owner.Kind == "CronJob"
	}
	return false
}

func managedSlice(obj *unstructured.Unstructured) bool {
	switch obj.GetLabels()[labelSliceManager] {
	case "endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io":
		return true
	}
	return false
}

// untouched reports whether a default ServiceAccount is as the cluster made it.
func untouched(obj *unstructured.Unstructured) bool {
	_, automount := obj.Object["automountServiceAccountToken"]
	pull, _, _ := unstructured.NestedSlice(obj.Object, "imagePullSecrets")
	return !automount && len(pull) == 0 && len(obj.GetLabels()) == 0 && len(obj.GetAnnotations()) == 0
}

func isToken(obj *unstructured.Unstructured) bool {
	kind, _, _ := unstructured.NestedString(obj.Object, "type")
	switch kind {
	case "kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token":
		return true
	case "kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson":
		return obj.GetAnnotations()[annotationDockercf] != ""
	}
	return false
}

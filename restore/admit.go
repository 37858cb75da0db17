package restore

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A reason says why an object of the archive is not made on green. The empty reason keeps it.
type reason string

const (
	remade      reason = "a controller of green makes it again"
	finished    reason = "a finished Job must never run again"
	ownedByHost reason = "it belongs to green's platform, not to the application"
	transient   reason = "it describes a moment of blue's life"
	byProvision reason = "namespaces are made by the step before"
	tokens      reason = "it holds credentials that blue's cluster issued"
	noVolumes   reason = "a volume of blue's cluster; its claim is made anew"
)

// blueFacts is what the fate of one object depends on among the others.
type blueFacts struct {
	selectorless map[key]bool // Services that no selector feeds: their Endpoints are a person's
}

func gatherFacts(objects []*unstructured.Unstructured) blueFacts {
	facts := blueFacts{selectorless: map[key]bool{}}
	for _, obj := range objects {
		if k := keyOf(obj); k.is("", "Service") && len(dig(obj.Object, "spec", "selector")) == 0 {
			facts.selectorless[k] = true
		}
	}
	return facts
}

// fate decides whether an object of the archive is made on green.
//
//	what it is                                             | fate
//	owned by a controller of Kubernetes itself             | made again by that controller (K8)
//	finished Job                                           | never (K7)
//	Endpoints, EndpointSlice of a Service with a selector  | made again (K9)
//	Lease, Event, CSR, VolumeAttachment …                  | transient (K5)
//	classes, nodes, CSI drivers, default RBAC              | green's platform (K19: looked up, never made)
//	token Secrets, kube-root-ca.crt                        | issued by green itself
//	all else                                               | made
func (f blueFacts) fate(obj *unstructured.Unstructured) reason {
	k := keyOf(obj)
	for _, judge := range []func(key, *unstructured.Unstructured) reason{fateOfKind, fateOfOwned, fateOfConfig, f.fateOfEndpoints} {
		if why := judge(k, obj); why != "" {
			return why
		}
	}
	return ""
}

func fateOfKind(k key, obj *unstructured.Unstructured) reason {
	switch {
	case k.is("", "Namespace"):
		return byProvision
	case k.is("", "Event", "Binding", "ComponentStatus"), k.is("events.k8s.io", "Event"), k.is("coordination.k8s.io", "Lease", "LeaseCandidate"),
		k.is("storage.k8s.io", "VolumeAttachment", "CSIStorageCapacity"), k.Group == "metrics.k8s.io", k.is("certificates.k8s.io", "CertificateSigningRequest"),
		k.is("acme.cert-manager.io", "Order", "Challenge"), k.is("cert-manager.io", "CertificateRequest"):
		return transient
	case k.is("", "Node"), k.is("storage.k8s.io", "CSINode", "CSIDriver", "StorageClass", "VolumeAttributesClass"), k.is("networking.k8s.io", "IngressClass"),
		k.is("node.k8s.io", "RuntimeClass"), k.is("scheduling.k8s.io", "PriorityClass"), k.Group == "flowcontrol.apiserver.k8s.io":
		return ownedByHost
	case k.is("", "PersistentVolume"):
		return noVolumes
	case k.is("apiregistration.k8s.io", "APIService") && dig(obj.Object, "spec", "service") == nil:
		return ownedByHost
	case obj.GetLabels()["kubernetes.io/bootstrapping"] != "":
		return ownedByHost
	case k.is("batch", "Job") && jobFinished(obj):
		return finished
	case k.is("", "Pod") && slices.Contains([]string{"Succeeded", "Failed"}, digString(obj.Object, "status", "phase")):
		return finished
	case k.is("", "Pod") && obj.GetAnnotations()["kubernetes.io/config.mirror"] != "":
		return ownedByHost
	}
	return ""
}

func jobFinished(obj *unstructured.Unstructured) bool {
	for _, c := range digMaps(obj.Object, "status", "conditions") {
		if (c["type"] == "Complete" || c["type"] == "Failed") && c["status"] == "True" {
			return true
		}
	}
	return digString(obj.Object, "status", "completionTime") != ""
}

// remakers are the kinds of Kubernetes whose controllers make what they own again from their own spec.
func remakers() map[string][]string {
	return map[string][]string{
		"":                    {"ReplicationController", "Service", "Endpoints", "Node", "Pod"},
		"apps":                {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"},
		"batch":               {"Job", "CronJob"},
		"discovery.k8s.io":    {"EndpointSlice"},
		"cert-manager.io":     {"CertificateRequest"},
		"networking.k8s.io":   {"Ingress"},
		"apps.openshift.io":   {"DeploymentConfig"},
		"argoproj.io":         {"CronWorkflow", "Rollout"},
		"serving.knative.dev": {"Service", "Configuration", "Revision", "Route"},
	}
}

func fateOfOwned(k key, obj *unstructured.Unstructured) reason {
	if k.is("", "PersistentVolumeClaim") {
		return "" // a claim that a StatefulSet owns stands for data; only its declaration would be made again
	}
	for _, ref := range obj.GetOwnerReferences() {
		group, _, ok := strings.Cut(ref.APIVersion, "/")
		if !ok {
			group = ""
		}
		controls := ref.Controller != nil && *ref.Controller
		if controls && slices.Contains(remakers()[group], ref.Kind) {
			return remade
		}
	}
	return ""
}

func fateOfConfig(k key, obj *unstructured.Unstructured) reason {
	annotations := obj.GetAnnotations()
	switch {
	case k.is("", "ConfigMap") && slices.Contains([]string{"kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"}, k.Name):
		return remade
	case k.is("", "ConfigMap", "Endpoints") && annotations["control-plane.alpha.kubernetes.io/leader"] != "":
		return transient
	case k.is("", "Secret"):
		kind := digString(obj.Object, "type")
		if kind == "kubernetes.io/service-account-token" || kind == "bootstrap.kubernetes.io/token" ||
			(kind == "kubernetes.io/dockercfg" && annotations["kubernetes.io/service-account.name"] != "") {
			return tokens
		}
	case k.is("", "ServiceAccount") && k.Name == "default" && plainAccount(obj):
		return remade
	}
	return ""
}

// plainAccount reports whether a ServiceAccount says nothing that green's own default one does not.
func plainAccount(obj *unstructured.Unstructured) bool {
	_, mounts := obj.Object["automountServiceAccountToken"]
	pull := slices.ContainsFunc(digMaps(obj.Object, "imagePullSecrets"), func(s map[string]any) bool { return !generatedPullSecret(s) })
	return !mounts && !pull && len(obj.GetLabels()) == 0
}

func (f blueFacts) fateOfEndpoints(k key, obj *unstructured.Unstructured) reason {
	switch {
	case k.is("", "Endpoints"):
		if !f.selectorless[key{"", "Service", k.Namespace, k.Name}] {
			return remade
		}
	case k.is("discovery.k8s.io", "EndpointSlice"):
		labels := obj.GetLabels()
		manager := labels["endpointslice.kubernetes.io/managed-by"]
		if manager == "endpointslice-controller.k8s.io" || manager == "endpointslicemirroring-controller.k8s.io" {
			return remade
		}
		if service := labels["kubernetes.io/service-name"]; service != "" && !f.selectorless[key{"", "Service", k.Namespace, service}] {
			return remade
		}
	}
	return ""
}

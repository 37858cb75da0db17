package restore

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// strip takes out of an object what blue's servers and controllers put in: with it, green's would refuse the object or
// take it for another one's.
func strip(obj *unstructured.Unstructured) {
	stripMetadata(obj)
	o := obj.Object
	delete(o, "status")
	switch k := keyOf(obj); {
	case k.is("", "Service"):
		stripService(o)
	case k.is("", "PersistentVolumeClaim"):
		stripClaim(o)
	case k.is("", "ServiceAccount"):
		stripAccount(o)
	case k.is("", "Pod"):
		stripPod(o)
	case k.is("batch", "Job"):
		stripJob(o)
	case k.is("apps", "StatefulSet"):
		for _, claim := range digMaps(o, "spec", "volumeClaimTemplates") {
			delete(claim, "status")
			prune(claim, []string{"metadata"}, "creationTimestamp")
		}
	case k.is("apps", "ReplicaSet"):
		stripReplicaSet(o)
	case k.is("apiextensions.k8s.io", "CustomResourceDefinition"):
		stripDefinition(obj)
	case k.is("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
		if injectsBundle(obj) {
			for _, hook := range digMaps(o, "webhooks") {
				prune(hook, []string{"clientConfig"}, "caBundle")
			}
		}
	case k.is("apiregistration.k8s.io", "APIService"):
		if injectsBundle(obj) {
			prune(o, []string{"spec"}, "caBundle")
		}
	}
	podTemplates(obj, func(spec, meta map[string]any) {
		delete(meta, "creationTimestamp")
		prune(meta, []string{"annotations"}, "kubectl.kubernetes.io/restartedAt")
		if spec["serviceAccount"] == spec["serviceAccountName"] {
			delete(spec, "serviceAccount") // the old name of the same field
		}
	})
}

func stripMetadata(obj *unstructured.Unstructured) {
	meta := dig(obj.Object, "metadata")
	for _, field := range []string{
		"uid", "resourceVersion", "generation", "selfLink", "creationTimestamp", "deletionTimestamp",
		"deletionGracePeriodSeconds", "managedFields",
	} {
		delete(meta, field)
	}
	stripAnnotations(meta)
	if finalizers := slices.DeleteFunc(obj.GetFinalizers(), func(f string) bool { return !keepsFinalizer(f) }); len(finalizers) > 0 {
		obj.SetFinalizers(finalizers)
	} else {
		delete(meta, "finalizers")
	}
	if obj.GetKind() == "Pod" {
		prune(meta, []string{"labels"}, "pod-template-hash", "controller-revision-hash", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index")
	}
}

// fenceAnnotations begin the names of annotations by which a migration holds hosts of blue's objects.
const fenceAnnotations = "crossfade.dev/fence-"

// stripAnnotations drops what servers and controllers wrote about blue's object.
func stripAnnotations(meta map[string]any) {
	for name := range dig(meta, "annotations") {
		if strings.HasPrefix(name, "pv.kubernetes.io/") || strings.HasPrefix(name, fenceAnnotations) || slices.Contains([]string{
			"kubectl.kubernetes.io/last-applied-configuration",
			"deployment.kubernetes.io/revision", "deployment.kubernetes.io/desired-replicas", "deployment.kubernetes.io/max-replicas",
			"deprecated.daemonset.template.generation",
			"volume.kubernetes.io/selected-node", "volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner",
			"volume.kubernetes.io/storage-resizer",
			"endpoints.kubernetes.io/last-change-trigger-time",
			"batch.kubernetes.io/job-tracking", "kubernetes.io/change-cause",
			"autoscaling.alpha.kubernetes.io/conditions", "autoscaling.alpha.kubernetes.io/current-metrics",
		}, name) {
			prune(meta, []string{"annotations"}, name)
		}
	}
}

// keepsFinalizer allows the finalizers that green's own servers honour. Any other would wait for a controller that may not
// be there, and keep the object from ever being deleted.
func keepsFinalizer(name string) bool {
	return slices.Contains([]string{"orphan", "foregroundDeletion"}, name)
}

func stripService(o map[string]any) {
	spec := dig(o, "spec")
	if spec["clusterIP"] != "None" {
		delete(spec, "clusterIP")
		delete(spec, "clusterIPs")
	}
	// Families and their policy are green's to choose, unless the file patches them in: a family that green lacks is refused.
	delete(spec, "ipFamilies")
	if spec["ipFamilyPolicy"] == "SingleStack" {
		delete(spec, "ipFamilyPolicy")
	}
	if spec["type"] == "LoadBalancer" {
		delete(spec, "loadBalancerIP") // an address of blue's balancer
	}
}

func stripClaim(o map[string]any) {
	spec := dig(o, "spec")
	delete(spec, "volumeName")
	delete(spec, "dataSource")
	delete(spec, "dataSourceRef")
}

func generatedPullSecret(ref map[string]any) bool {
	return strings.Contains(digString(ref, "name"), "-dockercfg-")
}

func stripAccount(o map[string]any) {
	delete(o, "secrets")
	kept := slices.DeleteFunc(digList(o, "imagePullSecrets"), func(s any) bool {
		m, ok := s.(map[string]any)
		return ok && generatedPullSecret(m)
	})
	if len(kept) == 0 {
		delete(o, "imagePullSecrets")
		return
	}
	o["imagePullSecrets"] = kept
}

// stripPod undoes scheduling and the admission of service-account tokens.
func stripPod(o map[string]any) {
	spec := dig(o, "spec")
	delete(spec, "nodeName")
	delete(spec, "priority") // computed from the class
	injected := func(v any) bool {
		m, ok := v.(map[string]any)
		return ok && strings.HasPrefix(digString(m, "name"), "kube-api-access-")
	}
	if volumes := slices.DeleteFunc(digList(spec, "volumes"), injected); len(volumes) > 0 {
		spec["volumes"] = volumes
	} else {
		delete(spec, "volumes")
	}
	for _, c := range containers(spec) {
		if mounts := slices.DeleteFunc(digList(c, "volumeMounts"), injected); len(mounts) > 0 {
			c["volumeMounts"] = mounts
		} else {
			delete(c, "volumeMounts")
		}
	}
	delete(spec, "ephemeralContainers") // made only through their own subresource, for one debugging
}

// stripJob drops the selector that the server made of the Job's uid, unless a person wrote it.
func stripJob(o map[string]any) {
	if digBool(o, "spec", "manualSelector") {
		return
	}
	delete(dig(o, "spec"), "selector")
	delete(dig(o, "spec"), "manualSelector")
	ofController := []string{"controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"}
	prune(o, []string{"metadata", "labels"}, ofController...)
	prune(o, []string{"spec", "template", "metadata", "labels"}, ofController...)
}

func stripReplicaSet(o map[string]any) {
	const hash = "pod-template-hash"
	prune(o, []string{"metadata", "labels"}, hash)
	prune(o, []string{"spec", "selector", "matchLabels"}, hash)
	prune(o, []string{"spec", "template", "metadata", "labels"}, hash)
}

func stripDefinition(obj *unstructured.Unstructured) {
	prune(obj.Object, []string{"spec", "conversion", "webhook", "clientConfig"}, "caBundle")
	delete(dig(obj.Object, "spec"), "preserveUnknownFields") // false is the only value that v1 takes
}

// injectsBundle reports whether a controller fills in the caBundle: then blue's is not valid on green.
func injectsBundle(obj *unstructured.Unstructured) bool {
	for name := range obj.GetAnnotations() {
		if strings.HasPrefix(name, "cert-manager.io/inject-") || strings.HasPrefix(name, "service.beta.openshift.io/inject-cabundle") ||
			strings.HasPrefix(name, "service.alpha.openshift.io/inject-cabundle") {
			return true
		}
	}
	return false
}

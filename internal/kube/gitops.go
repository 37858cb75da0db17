package kube

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// GitOps names the GitOps controller that keeps an object as its source says, and how it is told to leave the object alone for a
// while. Both are empty where none is known to.
func GitOps(obj metav1.Object) (who, mend string) {
	labels, annotations := obj.GetLabels(), obj.GetAnnotations()
	if id := annotations["argocd.argoproj.io/tracking-id"]; id != "" {
		return "Argo CD (" + id + ")", "turn automatic sync off for the time of the switch and remove the tracking annotation"
	}
	if app := labels["argocd.argoproj.io/instance"]; app != "" {
		return "Argo CD (application " + app + ")", "turn automatic sync off for the time of the switch and remove the label"
	}
	if name := labels["kustomize.toolkit.fluxcd.io/name"]; name != "" && annotations["kustomize.toolkit.fluxcd.io/reconcile"] != "disabled" {
		return "Flux (Kustomization " + name + ")", "annotate it with kustomize.toolkit.fluxcd.io/reconcile: disabled for the time of the switch"
	}
	if name := labels["helm.toolkit.fluxcd.io/name"]; name != "" && annotations["helm.toolkit.fluxcd.io/driftDetection"] != "disabled" {
		return "Flux (HelmRelease " + name + ")", "suspend the HelmRelease and annotate the workload with helm.toolkit.fluxcd.io/driftDetection: disabled for the time of the switch"
	}
	return "", ""
}

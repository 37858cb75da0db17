package ports

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Collect adds what one object of blue wants, takes and says to the input. Namespaces maps blue's names to green's.
func Collect(in *Input, obj *unstructured.Unstructured, namespaces map[string]string) error {
	gk := obj.GroupVersionKind().GroupKind()
	switch {
	case gk.Group == "" && gk.Kind == "Service":
		var svc corev1.Service
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &svc); err != nil {
			return fmt.Errorf("read Service %s/%s: %w", obj.GetNamespace(), obj.GetName(), err)
		}
		in.Wants = append(in.Wants, wantsOf(&svc, namespaces[svc.Namespace])...)
	case gk.Group == "" && gk.Kind == "ConfigMap":
		data, _, err := unstructured.NestedStringMap(obj.Object, "data")
		if err != nil {
			return fmt.Errorf("read ConfigMap %s/%s: %w", obj.GetNamespace(), obj.GetName(), err)
		}
		for name, text := range data {
			in.mention(fmt.Sprintf("ConfigMap %s/%s, %s", obj.GetNamespace(), obj.GetName(), name), text)
		}
	default:
		return in.collectPods(obj)
	}
	return nil
}

// wantsOf lists the numbers that a Service holds.
func wantsOf(svc *corev1.Service, green string) []Want {
	unneeded := svc.Spec.AllocateLoadBalancerNodePorts != nil && !*svc.Spec.AllocateLoadBalancerNodePorts
	var out []Want
	want := Want{Namespace: svc.Namespace, Service: svc.Name, GreenNamespace: green}
	for _, p := range svc.Spec.Ports {
		if p.NodePort != 0 {
			w := want
			w.Port, w.Name, w.Protocol, w.Use, w.Unneeded = p.NodePort, p.Name, protocolOf(p.Protocol), NodePort, unneeded
			out = append(out, w)
		}
	}
	if svc.Spec.HealthCheckNodePort != 0 {
		w := want
		w.Port, w.Use = svc.Spec.HealthCheckNodePort, HealthCheck
		out = append(out, w)
	}
	return out
}

func protocolOf(p corev1.Protocol) string {
	if p == "" {
		return string(corev1.ProtocolTCP)
	}
	return string(p)
}

// templates are the places of pod specs in the kinds of Kubernetes.
func templates() map[string][]string {
	in := []string{"spec", "template", "spec"}
	return map[string][]string{
		"Deployment": in, "StatefulSet": in, "DaemonSet": in, "ReplicaSet": in, "ReplicationController": in, "Job": in,
		"Pod": {"spec"}, "CronJob": {"spec", "jobTemplate", "spec", "template", "spec"},
	}
}

func (in *Input) collectPods(obj *unstructured.Unstructured) error {
	path, ok := templates()[obj.GetKind()]
	if !ok {
		return nil
	}
	owner := fmt.Sprintf("%s %s/%s", obj.GetKind(), obj.GetNamespace(), obj.GetName())
	raw, found, err := unstructured.NestedMap(obj.Object, path...)
	if err != nil || !found {
		return err
	}
	var spec corev1.PodSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &spec); err != nil {
		return fmt.Errorf("read the pods of %s: %w", owner, err)
	}
	in.HostPorts = append(in.HostPorts, hostPortsOf(spec, owner)...)
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, env := range c.Env {
			in.mention(owner+", environment "+env.Name, env.Value)
		}
		for _, arg := range slices.Concat(c.Command, c.Args) {
			in.mention(owner+", arguments of "+c.Name, arg)
		}
	}
	return nil
}

func hostPortsOf(spec corev1.PodSpec, owner string) []HostPort {
	var out []HostPort
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, p := range c.Ports {
			if p.HostPort != 0 {
				out = append(out, HostPort{Port: p.HostPort, Protocol: protocolOf(p.Protocol), Owner: owner, Network: spec.HostNetwork})
			}
		}
	}
	if spec.HostNetwork && len(out) == 0 {
		out = append(out, HostPort{Owner: owner, Network: true})
	}
	return out
}

// mention notes every number of a text that could be a node port. Only those that change are ever shown.
func (in *Input) mention(where, text string) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r < '0' || r > '9' }) {
		if len(word) != 4 && len(word) != 5 {
			continue
		}
		n, err := strconv.ParseInt(word, 10, 32)
		if err != nil || n > 65535 {
			continue
		}
		if in.Mentions == nil {
			in.Mentions = map[int32][]string{}
		}
		if list := in.Mentions[int32(n)]; !slices.Contains(list, where) {
			in.Mentions[int32(n)] = append(list, where)
		}
	}
}

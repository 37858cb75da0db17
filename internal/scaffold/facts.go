package scaffold

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const helmRelease = "meta.helm.sh/release-name"

// workloadOf keeps of a workload what the draft is made from.
func workloadOf(group, kind string, meta metav1.ObjectMeta, template corev1.PodTemplateSpec, envPath string) Workload {
	spec := template.Spec
	w := Workload{
		Group: group, Kind: kind, Name: meta.Name, Labels: meta.Labels, PodLabels: template.Labels, Release: meta.Annotations[helmRelease],
		PriorityClass: spec.PriorityClassName, EnvPath: envPath,
	}
	if spec.RuntimeClassName != nil {
		w.RuntimeClass = *spec.RuntimeClassName
	}
	settings, secrets, claims := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, v := range spec.Volumes {
		volumeRefs(v, settings, secrets, claims)
	}
	for _, c := range spec.Containers {
		w.Containers = append(w.Containers, containerOf(c, settings, secrets))
	}
	for _, c := range spec.InitContainers {
		containerOf(c, settings, secrets)
	}
	w.ConfigMaps, w.Secrets, w.Claims = sorted(settings), sorted(secrets), sorted(claims)
	return w
}

func sorted(set map[string]bool) []string {
	delete(set, "")
	return slices.Sorted(maps.Keys(set))
}

func volumeRefs(v corev1.Volume, settings, secrets, claims map[string]bool) {
	switch {
	case v.ConfigMap != nil:
		settings[v.ConfigMap.Name] = true
	case v.Secret != nil:
		secrets[v.Secret.SecretName] = true
	case v.PersistentVolumeClaim != nil:
		claims[v.PersistentVolumeClaim.ClaimName] = true
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			if s.ConfigMap != nil {
				settings[s.ConfigMap.Name] = true
			}
			if s.Secret != nil {
				secrets[s.Secret.Name] = true
			}
		}
	}
}

func containerOf(c corev1.Container, settings, secrets map[string]bool) Container {
	out := Container{Name: c.Name, Image: c.Image}
	for _, p := range c.Ports {
		out.Ports = append(out.Ports, Port{Name: p.Name, Number: int(p.ContainerPort)})
	}
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef != nil {
			settings[from.ConfigMapRef.Name] = true
		}
		if from.SecretRef != nil {
			secrets[from.SecretRef.Name] = true
		}
	}
	for _, e := range c.Env {
		env := Env{Name: e.Name, Value: e.Value}
		if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil {
			env.ConfigMap, env.Key = e.ValueFrom.ConfigMapKeyRef.Name, e.ValueFrom.ConfigMapKeyRef.Key
			settings[env.ConfigMap] = true
		}
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			env.Secret, env.Key = e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key
			secrets[env.Secret] = true
		}
		out.Env = append(out.Env, env)
	}
	if p := c.ReadinessProbe; p != nil && p.HTTPGet != nil {
		out.Ready = &Probe{Path: p.HTTPGet.Path, Port: out.port(p.HTTPGet.Port.String())}
	}
	return out
}

// port is the number of a port that is named, or given as a number; 0 where there is none.
func (c Container) port(nameOrNumber string) int {
	if n, err := strconv.Atoi(nameOrNumber); err == nil {
		return n
	}
	for _, p := range c.Ports {
		if p.Name == nameOrNumber {
			return p.Number
		}
	}
	return 0
}

const (
	templatePath = "/spec/template/spec/containers"
	cronPath     = "/spec/jobTemplate/spec/template/spec/containers"
)

func deploymentOf(d appsv1.Deployment) Workload {
	return workloadOf("apps", "Deployment", d.ObjectMeta, d.Spec.Template, templatePath)
}

func daemonSetOf(d appsv1.DaemonSet) Workload {
	return workloadOf("apps", "DaemonSet", d.ObjectMeta, d.Spec.Template, templatePath)
}

func statefulSetOf(s appsv1.StatefulSet) Workload {
	w := workloadOf("apps", "StatefulSet", s.ObjectMeta, s.Spec.Template, templatePath)
	w.Templates = map[string]string{}
	for _, c := range s.Spec.VolumeClaimTemplates {
		w.Templates[c.Name] = classOf(c.Spec)
	}
	return w
}

func cronJobOf(c batchv1.CronJob) Workload {
	return workloadOf("batch", "CronJob", c.ObjectMeta, c.Spec.JobTemplate.Spec.Template, cronPath)
}

func jobOf(j batchv1.Job) Workload {
	return workloadOf("batch", "Job", j.ObjectMeta, j.Spec.Template, templatePath)
}

func classOf(spec corev1.PersistentVolumeClaimSpec) string {
	if spec.StorageClassName == nil {
		return ""
	}
	return *spec.StorageClassName
}

func serviceOf(s corev1.Service) Service {
	out := Service{Name: s.Name, Type: string(s.Spec.Type), Selector: s.Spec.Selector, Annotations: s.Annotations, Entry: entryOf(s.Status.LoadBalancer.Ingress)}
	for _, p := range s.Spec.Ports {
		target := p.TargetPort
		if target == (intstr.IntOrString{}) {
			target = intstr.FromInt32(p.Port)
		}
		out.Ports = append(out.Ports, ServicePort{Name: p.Name, Number: int(p.Port), Target: target.String()})
	}
	for _, ip := range s.Spec.ExternalIPs {
		if addr, err := netip.ParseAddr(ip); err == nil {
			out.Entry.Addresses = append(out.Entry.Addresses, addr)
		}
	}
	return out
}

func entryOf(in []corev1.LoadBalancerIngress) Entry {
	var e Entry
	for _, i := range in {
		e.add(i.IP, i.Hostname)
	}
	return e
}

func (e *Entry) add(ip, hostname string) {
	if addr, err := netip.ParseAddr(ip); err == nil {
		e.Addresses = append(e.Addresses, addr)
	}
	if hostname != "" {
		e.Hostnames = append(e.Hostnames, strings.TrimSuffix(strings.ToLower(hostname), "."))
	}
}

func ingressOf(i networkingv1.Ingress) Ingress {
	out := Ingress{Name: i.Name, Class: i.Annotations["kubernetes.io/ingress.class"], Annotations: i.Annotations}
	if i.Spec.IngressClassName != nil {
		out.Class = *i.Spec.IngressClassName
	}
	for _, in := range i.Status.LoadBalancer.Ingress {
		out.Entry.add(in.IP, in.Hostname)
	}
	for _, t := range i.Spec.TLS {
		out.TLS = append(out.TLS, t.Hosts...)
	}
	for _, rule := range i.Spec.Rules {
		if rule.Host == "" || strings.HasPrefix(rule.Host, "*") || rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			if path.Backend.Service != nil {
				out.Rules = append(out.Rules, Rule{Host: strings.ToLower(rule.Host), Service: path.Backend.Service.Name})
			}
		}
	}
	return out
}

package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/crossfade-project/crossfade/cutover/internal/backend"
	"github.com/crossfade-project/crossfade/cutover/internal/protocol"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// podAt is a pod of green's behind a Service, and the port at which it answers for it. It is asked through the API server, as long
// as its hostname's entry leads to blue.
type podAt struct {
	client *kube.Client
	kube.PodRequest
}

// routeProbes are the probes of a check of a hostname whose backend is switched. Before the switch its entry leads to blue, so
// that green's pods are asked, each by itself; what no pod can be asked is not asked. After it, the entry is asked.
func routeProbes(ctx context.Context, opts CheckOptions, app migration.Application, check migration.Check, both Entries, base probe) ([]probe, error) {
	base.entry, base.blue = both.On(opts.Side), nil
	base.port = checkPort(check, base.entry.Port)
	if len(base.entry.Addresses) > 0 {
		base.addr = base.entry.Addresses[0]
	}
	var ask *migration.HTTPCheck
	switch {
	case check.Prometheus != nil, len(check.Command) > 0:
		return []probe{base}, nil
	case opts.Phase == AfterSwap || opts.Side == sideBlue:
		base.alone = true
		var probes []probe
		for _, addr := range base.entry.Addresses {
			p := base
			p.addr = addr
			probes = append(probes, p)
		}
		if len(probes) == 0 {
			return []probe{base}, nil // inconclusive: there is nowhere to send it
		}
		return probes, nil
	case check.HTTP != nil:
		ask = check.HTTP
	case check.Probes != nil:
		ask = &check.Probes.HTTP
	default:
		return nil, nil
	}
	base.blue = &both.Blue
	pods, f, err := opts.greenPods(ctx, app, hostnameOf(app, both.Hostname), ask.Path)
	if err != nil {
		return nil, err
	}
	if f != nil {
		return []probe{base.knowing(*f)}, nil
	}
	var probes []probe
	for _, pod := range pods {
		p := base
		p.pod = &pod
		probes = append(probes, p)
	}
	return probes, nil
}

// greenPods finds the pods of green's that would answer for a path of a hostname. What keeps them from being found is returned as a
// finding: it teaches nothing of green.
func (o CheckOptions) greenPods(ctx context.Context, app migration.Application, h migration.Hostname, path string) ([]podAt, *finding, error) {
	none := func(format string, args ...any) ([]podAt, *finding, error) {
		f := unknown(format, args...)
		return nil, &f, nil
	}
	if o.Blue.Kube == nil || o.Green.Kube == nil {
		return none("%v", errNoCluster)
	}
	ref := o.refOf(app, h)
	rules := o.rules[backend.Clean(h.Name)]
	if rules == nil {
		state, err := backend.Read(ctx, o.Blue.Kube, ref, h.Name)
		if errors.Is(err, backend.ErrNotExist) {
			return none("%v", err)
		}
		if err != nil {
			return nil, nil, err
		}
		rules = state.Rules
	}
	target, ok := backend.Leads(ref.Kind, rules, path)
	if !ok {
		return none("%s leads the path %s to no Service", ref, path)
	}
	namespace := o.Green.namespace(app.Namespace)
	svc, err := o.Green.Kube.Typed.CoreV1().Services(namespace).Get(ctx, target.Service, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return none("green has no Service %s/%s", namespace, target.Service)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read Service %s/%s on green: %w", namespace, target.Service, err)
	}
	i := slices.IndexFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool {
		return target.Port.Name != "" && p.Name == target.Port.Name || target.Port.Name == "" && int64(p.Port) == target.Port.Number
	})
	if i < 0 || len(svc.Spec.Selector) == 0 {
		return none("green's Service %s/%s has no port %s, or no selector", namespace, target.Service, target.Port)
	}
	list, err := o.Green.Kube.Typed.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(svc.Spec.Selector).String()})
	if err != nil {
		return nil, nil, fmt.Errorf("list the pods of Service %s/%s on green: %w", namespace, target.Service, err)
	}
	var pods []podAt
	for _, pod := range list.Items {
		port := podPort(pod, svc.Spec.Ports[i])
		if pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil && kube.PodReady(&pod) && port > 0 {
			pods = append(pods, podAt{o.Green.Kube, kube.PodRequest{Namespace: namespace, Pod: pod.Name, Port: port}})
		}
	}
	if len(pods) == 0 {
		return none("no pod behind green's Service %s/%s is ready", namespace, target.Service)
	}
	return pods, nil, nil
}

// podPort is the port of a pod to which a Service's port leads, 0 where it has none of the name.
func podPort(pod corev1.Pod, port corev1.ServicePort) int {
	switch {
	case port.TargetPort.Type == intstr.String:
		for _, c := range pod.Spec.Containers {
			for _, p := range c.Ports {
				if p.Name == port.TargetPort.StrVal {
					return int(p.ContainerPort)
				}
			}
		}
		return 0
	case port.TargetPort.IntVal > 0:
		return int(port.TargetPort.IntVal)
	}
	return int(port.Port)
}

// where names the pod in a gate.
func (a podAt) where() string { return fmt.Sprintf("pod %s/%s:%d", a.Namespace, a.Pod, a.Port) }

// ask sends a check's request to the pod, as its ingress would send it on: under the real hostname.
func (a podAt) ask(ctx context.Context, host, scheme, path string, header http.Header) (protocol.Answer, error) {
	req := a.PodRequest
	req.Method, req.Path, req.Host, req.Header = http.MethodGet, path, host, header.Clone()
	req.Header.Set("X-Forwarded-Proto", scheme)
	req.Header.Set("X-Forwarded-Host", host)
	status, got, body, err := a.client.PodRequest(ctx, req)
	if err != nil {
		return protocol.Answer{}, err
	}
	return protocol.NewAnswer(status, got, body), nil
}

// rulesByHost are rules to judge by in the place of those that stand there now.
type rulesByHost = map[string]json.RawMessage

// bareHost is a hostname as requests have it.
func bareHost(name string) string { return strings.TrimSuffix(name, ".") }

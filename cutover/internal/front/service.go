package front

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"

	"github.com/crossfade-project/crossfade/internal/forwarder"
	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Switch lets a Service select pods of ours instead of its own, and back. It stands in the plan, so it is on disk before the
// change, and the plan alone is enough to take it back, byte for byte (I6).
type Switch struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// Original and Front are the same fields in both states: the selector, the ports, and the annotation that tells a reader of the
	// Service what it was.
	Original []hook.Field `json:"original"`
	Front    []hook.Field `json:"front"`
}

func (s Switch) String() string { return "Service " + s.Namespace + "/" + s.Name }

// PlanSwitch reads what a Service is, and says what it becomes: each of its ports gets a way of its own through the pods, which it adds to
// them and returns. to is what connections are passed on to, by the Service's port; nil refuses them.
func (c Cluster) PlanSwitch(ctx context.Context, svc *corev1.Service, f *Pods, to func(corev1.ServicePort) []string) (Switch, []forwarder.Way, error) {
	first := firstWayPort + len(f.Config.Ways)
	ways := waysOf(svc, first, to)
	f.Config.Ways = append(f.Config.Ways, ways...)
	live, err := c.services(svc.Namespace).Get(ctx, svc.Name, metav1.GetOptions{})
	if err != nil {
		return Switch{}, nil, fmt.Errorf("read Service %s/%s: %w", svc.Namespace, svc.Name, err)
	}
	s, err := switchOf(live, len(ways), first, f.selector())
	return s, ways, err
}

// waysOf gives every port of a Service a port of our pods, from one on.
func waysOf(svc *corev1.Service, first int, to func(corev1.ServicePort) []string) []forwarder.Way {
	var all []forwarder.Way
	for i, p := range svc.Spec.Ports {
		protocol := "tcp"
		if p.Protocol == corev1.ProtocolUDP {
			protocol = "udp"
		}
		way := forwarder.Way{Name: fmt.Sprintf("%s/%s:%d", svc.Namespace, svc.Name, p.Port), Protocol: protocol, Listen: fmt.Sprintf(":%d", first+i)}
		if protocol == "udp" {
			way.Name += "/udp"
		}
		if to != nil {
			way.To = to(p)
		}
		all = append(all, way)
	}
	return all
}

// switchOf says what a Service becomes whose ports lead to those of our pods, from one on.
func switchOf(live *unstructured.Unstructured, ports, first int, pods map[string]string) (Switch, error) {
	s := Switch{Namespace: live.GetNamespace(), Name: live.GetName(), UID: string(live.GetUID())}
	s.Original = hook.FieldsOf(live.Object, []hook.Field{
		{Path: []string{"spec", "selector"}}, {Path: []string{"spec", "ports"}}, {Path: []string{"metadata", "annotations", kube.AnnotationFront}},
	})
	changed, ok := runtime.DeepCopyJSONValue(s.Original[1].Value).([]any)
	if !ok || len(changed) != ports {
		return Switch{}, &plan.MovedError{Change: s.String(), What: "its ports", Was: fmt.Sprint(ports), Now: fmt.Sprint(len(changed))}
	}
	for i, raw := range changed {
		port, ok := raw.(map[string]any)
		if !ok {
			return Switch{}, fmt.Errorf("read %s: port %d is no object", s, i)
		}
		port["targetPort"] = int64(first + i)
	}
	selector := map[string]any{}
	for key, value := range pods {
		selector[key] = value
	}
	own := s.Original[2].Value
	if !s.Original[2].Present { // else pods of ours are in front already, and it tells what it was before them
		own = string(plan.JSON(map[string]any{"selector": s.Original[0].Value, "ports": s.Original[1].Value}))
	}
	s.Front = []hook.Field{
		{Path: s.Original[0].Path, Present: true, Value: selector},
		{Path: s.Original[1].Path, Present: true, Value: changed},
		{Path: s.Original[2].Path, Present: true, Value: own},
	}
	return s, nil
}

func (c Cluster) services(namespace string) dynamic.ResourceInterface {
	return c.Kube.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(namespace)
}

// switchTries bounds how often a Service is written again when it changes between reading and writing.
const switchTries = 10

// Lead lets a Service select our pods, and does nothing where it does already. A third state is somebody else's, and refused.
func (c Cluster) Lead(ctx context.Context, id string, s Switch) error {
	at := c.services(s.Namespace)
	for range switchTries {
		obj, err := at.Get(ctx, s.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		there, err := s.is(obj, id, s.Original, s.Front)
		if err != nil || there {
			return err
		}
		for _, f := range s.Front {
			f.Restore(obj.Object)
		}
		// The resourceVersion that was read goes along: the server refuses the write of anything newer.
		_, err = at.Update(ctx, obj, metav1.UpdateOptions{})
		if !apierrors.IsConflict(err) {
			return err
		}
	}
	return s.busy()
}

func (s Switch) busy() error {
	return fmt.Errorf("%s changed under us %d times in a row: something else writes to it all the time", s, switchTries)
}

// Serve gives Services their own pods back, waits until they lead there, and then removes ours. Pods behind a Service that could not
// be put back stay.
func (c Cluster) Serve(ctx context.Context, switches []Switch, pods []Pods) error {
	var failed []error
	for _, s := range slices.Backward(switches) {
		if err := c.putBack(ctx, s); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", s, err))
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	if err := c.WaitLed(ctx, switches); err != nil { // they are put back, and that cannot be hurried
		c.Log.WarnContext(ctx, "Services were put back, and may not lead to their own pods everywhere yet", "because", err.Error())
	}
	for _, f := range pods {
		failed = append(failed, c.lower(ctx, f))
	}
	return errors.Join(failed...)
}

// putBack gives a Service back what the switch has changed, and nothing else: what somebody has written since stays, and is told. A
// Service that is gone, or another one by now, has nothing of ours.
func (c Cluster) putBack(ctx context.Context, s Switch) error {
	at := c.services(s.Namespace)
	for range switchTries {
		obj, err := at.Get(ctx, s.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && string(obj.GetUID()) != s.UID {
			c.Log.WarnContext(ctx, "a Service that led to our pods is gone, or another one by now", "service", s.String())
			return nil
		}
		if err != nil {
			return err
		}
		if hook.Same(hook.FieldsOf(obj.Object, s.Original), s.Original) {
			return nil
		}
		s.undo(obj.Object)
		if now := hook.FieldsOf(obj.Object, s.Original); !hook.Same(now, s.Original) {
			c.Log.WarnContext(ctx, "somebody has written to a Service while it led to our pods: that is kept", "service", s.String(), "was", hook.Show(s.Original), "is", hook.Show(now))
		}
		_, err = at.Update(ctx, obj, metav1.UpdateOptions{})
		if !apierrors.IsConflict(err) {
			return err
		}
	}
	return s.busy()
}

// undo sets what is as the switch has set it to what it was: the selector and the annotation each as a whole, the ports one by one.
func (s Switch) undo(obj map[string]any) {
	now := hook.FieldsOf(obj, s.Front)
	for i, f := range s.Front {
		if hook.Same([]hook.Field{now[i]}, []hook.Field{f}) {
			s.Original[i].Restore(obj)
		}
	}
	live, _, _ := unstructured.NestedSlice(obj, "spec", "ports") // a copy; of another shape it is nothing of ours
	ours, _ := s.Front[1].Value.([]any)
	was, _ := s.Original[1].Value.([]any)
	for _, raw := range live {
		for i := range ours {
			port, mine, own := asMap(raw), asMap(ours[i]), asMap(was[i])
			if port["port"] != mine["port"] || port["protocol"] != mine["protocol"] || port["targetPort"] != mine["targetPort"] {
				continue
			}
			delete(port, "targetPort")
			if target, ok := own["targetPort"]; ok {
				port["targetPort"] = target
			}
		}
	}
	if len(live) > 0 {
		_ = unstructured.SetNestedSlice(obj, live, "spec", "ports") // spec is there: it was just read
	}
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// is reports whether the Service is in a state already, and refuses it where it is in neither.
func (s Switch) is(obj *unstructured.Unstructured, id string, from, to []hook.Field) (bool, error) {
	if string(obj.GetUID()) != s.UID {
		return false, &plan.MovedError{Change: id, What: s.String() + "'s uid", Was: s.UID, Now: string(obj.GetUID())}
	}
	now := hook.FieldsOf(obj.Object, to)
	switch {
	case hook.Same(now, to):
		return true, nil
	case !hook.Same(now, from):
		return false, &plan.MovedError{Change: id, What: s.String(), Was: hook.Show(from), Now: hook.Show(now)}
	}
	return false, nil
}

// InFront is an error where a Service does not select our pods any more.
func (c Cluster) InFront(ctx context.Context, s Switch) error {
	obj, err := c.services(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read %s: %w", s, err)
	}
	if there, err := s.is(obj, "look at "+s.String(), s.Original, s.Front); err != nil || there {
		return err
	}
	return fmt.Errorf("%s selects its own pods again: somebody has put it back", s)
}

// Takeable says why a Service cannot lead to pods of ours, or "".
func Takeable(svc *corev1.Service, udp bool) string {
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		return "it is an ExternalName: it has no pods"
	case len(svc.Spec.Selector) == 0:
		return "it has no selector: its endpoints are somebody's own"
	case svc.Spec.ClusterIP == corev1.ClusterIPNone:
		return "it is headless: its clients reach pods by their own addresses"
	case slices.ContainsFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool { return p.Protocol == corev1.ProtocolSCTP }):
		return "it has a port of SCTP"
	case !udp && slices.ContainsFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool { return p.Protocol == corev1.ProtocolUDP }):
		return "it has a port of UDP"
	case len(svc.Spec.Ports) == 0:
		return "it has no port"
	case svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal:
		return "its externalTrafficPolicy is Local: whoever comes to a node without a pod of ours would be dropped, and seen by nobody"
	case svc.Spec.InternalTrafficPolicy != nil && *svc.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal:
		return "its internalTrafficPolicy is Local: whoever comes from a node without a pod of ours would be dropped, and seen by nobody"
	}
	return ""
}

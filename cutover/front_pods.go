package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/crossfade-project/crossfade/internal/forwarder"
	"github.com/crossfade-project/crossfade/internal/kube"
)

// Pods that stand in front: what they are for, and the ports at which they listen. All are above 1024, so that nobody has to be root.
const (
	componentForward  = "forwarder"
	componentBrownOut = "brown-out"

	statusPort    = 20000
	firstWayPort  = 20001
	frontUser     = 65532
	frontReady    = 3 * time.Minute
	frontDeadline = 45 // seconds that a pod may take to end: longer than it lingers and drains
)

// frontPods are pods of ours behind Services of blue. They stand in the plan, so that whoever goes on after a kill makes and
// removes the same.
type frontPods struct {
	Component string           `json:"component"`
	Namespace string           `json:"namespace"`
	Name      string           `json:"name"`
	Replicas  int32            `json:"replicas"`
	Image     string           `json:"image"`
	Config    forwarder.Config `json:"config"`
}

func (f frontPods) String() string { return "Deployment " + f.Namespace + "/" + f.Name }

// selector chooses the pods, and nobody else's.
func (f frontPods) selector() map[string]string { return map[string]string{kube.LabelFront: f.Name} }

// raise makes the pods and waits until each of them is ready. What an earlier try has made is used.
func (o Options) raise(ctx context.Context, f frontPods) error {
	at := o.Blue.Kube.Typed.AppsV1().Deployments(f.Namespace)
	_, err := at.Create(ctx, o.deployment(f), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		var live *appsv1.Deployment
		if live, err = at.Get(ctx, f.Name, metav1.GetOptions{}); err == nil && !o.ours(live.Labels, f) {
			return fmt.Errorf("%s is there already and is not this migration's: rename or remove it", f)
		}
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", f, err)
	}
	return o.waitReady(ctx, f)
}

func (o Options) ours(labels map[string]string, f frontPods) bool {
	return labels[kube.LabelMigration] == o.Migration && labels[kube.LabelComponent] == f.Component
}

func (o Options) waitReady(ctx context.Context, f frontPods) error {
	limit := o.now().Add(frontReady)
	said := o.now()
	for {
		pods, others, err := o.podsInFront(ctx, f)
		if err != nil {
			return err
		}
		ready, state := 0, "no pod was made"
		for _, pod := range pods {
			if podReady(pod) {
				ready++
				continue
			}
			state = pod.Name + ": " + podReason(&pod)
		}
		if len(others) > 0 { // the Service would lead to them, too, and nobody reads what they count
			state = "of an earlier Deployment there is still " + strings.Join(others, ", ")
		}
		if ready == int(f.Replicas) && len(pods) == ready && len(others) == 0 {
			return nil
		}
		now := o.now()
		if !now.Before(limit) {
			return fmt.Errorf("%s: %d of %d pods are ready after %s: %s", f, ready, f.Replicas, frontReady, state)
		}
		if now.Sub(said) >= sayEvery {
			o.log().InfoContext(ctx, "waiting until the pods in front are ready", "deployment", f.String(), "ready", ready, "of", f.Replicas, "state", state, "until", limit.Format(time.TimeOnly))
			said = now
		}
		if err := o.clock().Sleep(ctx, podPoll); err != nil {
			return err
		}
	}
}

func podReady(pod corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// podsOf are the Deployment's pods that are not ending.
func (o Options) podsOf(ctx context.Context, f frontPods) ([]corev1.Pod, error) {
	pods, _, err := o.podsInFront(ctx, f)
	return pods, err
}

// podsInFront are the pods that are not ending: those of the Deployment as it is now, and the names of those that an earlier one of the
// same name has left. They have the same labels, so that only their owners tell them apart.
func (o Options) podsInFront(ctx context.Context, f frontPods) (pods []corev1.Pod, others []string, err error) {
	own := map[types.UID]bool{}
	live, err := o.Blue.Kube.Typed.AppsV1().Deployments(f.Namespace).Get(ctx, f.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, nil, fmt.Errorf("read %s: %w", f, err)
	}
	chosen := metav1.ListOptions{LabelSelector: kube.LabelFront + "=" + f.Name}
	if err == nil {
		sets, err := o.Blue.Kube.Typed.AppsV1().ReplicaSets(f.Namespace).List(ctx, chosen)
		if err != nil {
			return nil, nil, fmt.Errorf("list the ReplicaSets of %s: %w", f, err)
		}
		for _, set := range sets.Items {
			own[set.UID] = metav1.IsControlledBy(&set, live)
		}
	}
	list, err := o.Blue.Kube.Typed.CoreV1().Pods(f.Namespace).List(ctx, chosen)
	if err != nil {
		return nil, nil, fmt.Errorf("list the pods of %s: %w", f, err)
	}
	for _, pod := range list.Items {
		owner := metav1.GetControllerOf(&pod)
		switch {
		case pod.DeletionTimestamp != nil:
		case owner != nil && own[owner.UID]:
			pods = append(pods, pod)
		default:
			others = append(others, pod.Name)
		}
	}
	return pods, others, nil
}

// lower removes the pods. It does not wait for their end: what they still carry may take its time.
func (o Options) lower(ctx context.Context, f frontPods) error {
	at := o.Blue.Kube.Typed.AppsV1().Deployments(f.Namespace)
	live, err := at.Get(ctx, f.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", f, err)
	}
	if !o.ours(live.Labels, f) {
		return fmt.Errorf("%s is not this migration's any more: it is left alone", f)
	}
	background := metav1.DeletePropagationBackground
	err = at.Delete(ctx, f.Name, metav1.DeleteOptions{PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &live.UID}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", f, err)
	}
	return nil
}

// countsOf asks every pod what it has counted. All of them must answer: what one has seen says nothing of what another has.
func (o Options) countsOf(ctx context.Context, f frontPods) (map[string]forwarder.Counts, error) {
	pods, err := o.podsOf(ctx, f)
	if err != nil {
		return nil, err
	}
	if len(pods) == 0 {
		return nil, fmt.Errorf("no pod of %s runs, so nobody counts who comes", f)
	}
	all := map[string]forwarder.Counts{}
	for _, pod := range pods {
		var c forwarder.Counts
		if err := o.askFront(ctx, pod, "/counts", &c); err != nil {
			return nil, err
		}
		if c.Format != forwarder.Format {
			return nil, fmt.Errorf("pod %s/%s counts in format %d, and this version reads %d", pod.Namespace, pod.Name, c.Format, forwarder.Format)
		}
		all[pod.Name] = c
	}
	return all, nil
}

func (o Options) askFront(ctx context.Context, pod corev1.Pod, path string, into any) error {
	status, _, body, err := o.Blue.Kube.PodRequest(ctx, kube.PodRequest{Namespace: pod.Namespace, Pod: pod.Name, Port: statusPort, Method: http.MethodGet, Path: path})
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("pod %s/%s answers %d", pod.Namespace, pod.Name, status)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read the answer of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// deployment lets the pods run as nobody, with nothing that they do not need, and on different nodes where there are several.
func (o Options) deployment(f frontPods) *appsv1.Deployment {
	labels := map[string]string{kube.LabelMigration: o.Migration, kube.LabelComponent: f.Component, kube.LabelFront: f.Name}
	no, yes, user, grace := false, true, int64(frontUser), int64(frontDeadline)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: f.Name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: &f.Replicas,
			Selector: &metav1.LabelSelector{MatchLabels: f.selector()},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					AutomountServiceAccountToken:  &no,
					EnableServiceLinks:            &no,
					TerminationGracePeriodSeconds: &grace,
					SecurityContext: &corev1.PodSecurityContext{
						RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
						PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: 100, PodAffinityTerm: corev1.PodAffinityTerm{
							TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: f.selector()},
						}}},
					}},
					Containers: []corev1.Container{{
						Name:            f.Component,
						Image:           f.Image,
						ImagePullPolicy: corev1.PullIfNotPresent,
						Args:            []string{componentForward, "--config", string(mustJSON(f.Config))},
						ReadinessProbe: &corev1.Probe{
							ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromInt32(statusPort)}},
							PeriodSeconds: 2, TimeoutSeconds: 5,
						},
						Resources: corev1.ResourceRequirements{
							Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("20m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
							Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
						},
						SecurityContext: &corev1.SecurityContext{
							AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
						},
					}},
				},
			},
		},
	}
}

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		// A configuration is plain data.
		panic(fmt.Sprintf("%T cannot be marshalled: %v", v, err))
	}
	return raw
}

// errNoHelper says what pods in front cannot do without.
var errNoHelper = errors.New("blue.helper names no image of this project")

package front

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
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

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/forwarder"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// What pods in front are for: the component that their labels name.
const (
	// Forwarder passes connections on.
	Forwarder = "forwarder"
	// BrownOut refuses them.
	BrownOut = "brown-out"
)

const (
	// Ports at which the pods listen. All are above 1024, so that nobody has to be root.
	statusPort   = 20000
	firstWayPort = 20001

	podUser     = 65532
	podDeadline = 45 // seconds that a pod may take to end: longer than it lingers and drains

	readyLimit = 3 * time.Minute
	readyPoll  = 500 * time.Millisecond
	// sayEvery is how often a wait repeats its reason.
	sayEvery = 30 * time.Second
)

// Cluster is the one whose Services pods of ours stand in front of. All of it has to be set.
type Cluster struct {
	Kube *kube.Client
	// Migration whose the pods are.
	Migration string
	Clock     clock.Clock
	Log       *slog.Logger
}

// Pods are pods of ours behind Services of blue. They stand in the plan, so that whoever goes on after a kill makes and
// removes the same.
type Pods struct {
	Component string           `json:"component"`
	Namespace string           `json:"namespace"`
	Name      string           `json:"name"`
	Replicas  int32            `json:"replicas"`
	Image     string           `json:"image"`
	Config    forwarder.Config `json:"config"`
}

func (f Pods) String() string { return "Deployment " + f.Namespace + "/" + f.Name }

// Pods are one pod, with no way through it yet, for a part of the migration. Image has to be set.
func (c Cluster) Pods(component, namespace, part string) Pods {
	return Pods{
		Component: component, Namespace: namespace, Name: nameOf(component, c.Migration, part), Replicas: 1,
		Config: forwarder.Config{Status: fmt.Sprintf(":%d", statusPort)},
	}
}

// nameOf is short enough for a label, and another one for each migration and part of it.
func nameOf(component, migration, part string) string {
	sum := sha256.Sum256([]byte(migration + "\x00" + part))
	return fmt.Sprintf("crossfade-%s-%s-%s", component, strings.Trim(part[:min(len(part), 24)], "-"), hex.EncodeToString(sum[:4]))
}

// selector chooses the pods, and nobody else's.
func (f Pods) selector() map[string]string { return map[string]string{kube.LabelFront: f.Name} }

// Raise makes the pods and waits until each of them is ready. What an earlier try has made is used.
func (c Cluster) Raise(ctx context.Context, f Pods) error {
	at := c.Kube.Typed.AppsV1().Deployments(f.Namespace)
	_, err := at.Create(ctx, c.deployment(f), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		var live *appsv1.Deployment
		if live, err = at.Get(ctx, f.Name, metav1.GetOptions{}); err == nil && !c.ours(live.Labels, f) {
			return fmt.Errorf("%s is there already and is not this migration's: rename or remove it", f)
		}
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", f, err)
	}
	return c.waitReady(ctx, f)
}

func (c Cluster) ours(labels map[string]string, f Pods) bool {
	return labels[kube.LabelMigration] == c.Migration && labels[kube.LabelComponent] == f.Component
}

func (c Cluster) waitReady(ctx context.Context, f Pods) error {
	limit := c.Clock.Now().Add(readyLimit)
	said := c.Clock.Now()
	for {
		pods, others, err := c.podsInFront(ctx, f)
		if err != nil {
			return err
		}
		ready, state := 0, "no pod was made"
		for _, pod := range pods {
			if kube.PodReady(&pod) {
				ready++
				continue
			}
			state = pod.Name + ": " + kube.PodReason(&pod)
		}
		if len(others) > 0 { // the Service would lead to them, too, and nobody reads what they count
			state = "of an earlier Deployment there is still " + strings.Join(others, ", ")
		}
		if ready == int(f.Replicas) && len(pods) == ready && len(others) == 0 {
			return nil
		}
		now := c.Clock.Now()
		if !now.Before(limit) {
			return fmt.Errorf("%s: %d of %d pods are ready after %s: %s", f, ready, f.Replicas, readyLimit, state)
		}
		if now.Sub(said) >= sayEvery {
			c.Log.InfoContext(ctx, "waiting until the pods in front are ready", "deployment", f.String(), "ready", ready, "of", f.Replicas, "state", state, "until", limit.UTC().Format(time.TimeOnly))
			said = now
		}
		if err := c.Clock.Sleep(ctx, readyPoll); err != nil {
			return err
		}
	}
}

// podsOf are the Deployment's pods that are not ending.
func (c Cluster) podsOf(ctx context.Context, f Pods) ([]corev1.Pod, error) {
	pods, _, err := c.podsInFront(ctx, f)
	return pods, err
}

// podsInFront are the pods that are not ending: those of the Deployment as it is now, and the names of those that an earlier one of the
// same name has left. They have the same labels, so that only their owners tell them apart.
func (c Cluster) podsInFront(ctx context.Context, f Pods) (pods []corev1.Pod, others []string, err error) {
	own := map[types.UID]bool{}
	live, err := c.Kube.Typed.AppsV1().Deployments(f.Namespace).Get(ctx, f.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, nil, fmt.Errorf("read %s: %w", f, err)
	}
	chosen := metav1.ListOptions{LabelSelector: kube.LabelFront + "=" + f.Name}
	if err == nil {
		sets, err := c.Kube.Typed.AppsV1().ReplicaSets(f.Namespace).List(ctx, chosen)
		if err != nil {
			return nil, nil, fmt.Errorf("list the ReplicaSets of %s: %w", f, err)
		}
		for _, set := range sets.Items {
			own[set.UID] = metav1.IsControlledBy(&set, live)
		}
	}
	list, err := c.Kube.Typed.CoreV1().Pods(f.Namespace).List(ctx, chosen)
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
func (c Cluster) lower(ctx context.Context, f Pods) error {
	at := c.Kube.Typed.AppsV1().Deployments(f.Namespace)
	live, err := at.Get(ctx, f.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", f, err)
	}
	if !c.ours(live.Labels, f) {
		return fmt.Errorf("%s is not this migration's any more: it is left alone", f)
	}
	background := metav1.DeletePropagationBackground
	err = at.Delete(ctx, f.Name, metav1.DeleteOptions{PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &live.UID}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", f, err)
	}
	return nil
}

// Counts asks every pod what it has counted. All of them must answer: what one has seen says nothing of what another has.
func (c Cluster) Counts(ctx context.Context, f Pods) (map[string]forwarder.Counts, error) {
	pods, err := c.podsOf(ctx, f)
	if err != nil {
		return nil, err
	}
	if len(pods) == 0 {
		return nil, fmt.Errorf("no pod of %s runs, so nobody counts who comes", f)
	}
	all := map[string]forwarder.Counts{}
	for _, pod := range pods {
		var counts forwarder.Counts
		if err := c.ask(ctx, pod, "/counts", &counts); err != nil {
			return nil, err
		}
		if counts.Format != forwarder.Format {
			return nil, fmt.Errorf("pod %s/%s counts in format %d, and this version reads %d", pod.Namespace, pod.Name, counts.Format, forwarder.Format)
		}
		all[pod.Name] = counts
	}
	return all, nil
}

func (c Cluster) ask(ctx context.Context, pod corev1.Pod, path string, into any) error {
	status, _, body, err := c.Kube.PodRequest(ctx, kube.PodRequest{Namespace: pod.Namespace, Pod: pod.Name, Port: statusPort, Method: http.MethodGet, Path: path})
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
func (c Cluster) deployment(f Pods) *appsv1.Deployment {
	labels := map[string]string{kube.LabelMigration: c.Migration, kube.LabelComponent: f.Component, kube.LabelFront: f.Name}
	no, yes, user, grace := false, true, int64(podUser), int64(podDeadline)
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
						Args:            []string{Forwarder, "--config", string(plan.JSON(f.Config))},
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

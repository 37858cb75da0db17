package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// RequestEvidence asks an application's own counter on blue, pod by pod.
type RequestEvidence struct {
	Kube *kube.Client
	// App is the application; its Requests says how to ask.
	App       migration.Application
	Namespace string
	Clock     clock.Clock
}

// Name implements Evidence.
func (r RequestEvidence) Name() string { return "requests that " + r.App.Name + " counts on blue" }

// Coverage implements Evidence.
func (r RequestEvidence) Coverage() Coverage { return Whole }

// CountsKnock implements KnockCounter: it counts what has reached the application.
func (r RequestEvidence) CountsKnock(k Knock) (time.Duration, bool) {
	return 0, k.App == r.App.Name && !k.Refused
}

// requestState holds each pod's counter by the pod's uid: a pod that is made again counts from zero. So may one whose containers began
// again, at 0 after 0 too, where the request that nobody saw is the one that ended it; so each pod's life is held as well.
type requestState struct {
	Pods  map[string]int64  `json:"pods"`
	Lives map[string]string `json:"lives"`
}

// Collect implements Evidence. The counters go on between two looks, so each look reaches back to the last one, unless a
// pod went away or began again: what that one counted last is lost.
func (r RequestEvidence) Collect(ctx context.Context, last Observation) (Observation, error) {
	if r.App.Requests == nil {
		return Observation{}, fmt.Errorf("application %s declares no counter", r.App.Name)
	}
	pods, err := r.pods(ctx)
	if err != nil {
		return Observation{}, err
	}
	before := requestState{}
	if len(last.State) > 0 {
		if err := json.Unmarshal(last.State, &before); err != nil {
			return Observation{}, fmt.Errorf("read the state of the last look: %w", err)
		}
	}
	obs := Observation{Evidence: r.Name(), Use: Quiet, At: r.now(), From: last.At}
	state := requestState{Pods: map[string]int64{}, Lives: map[string]string{}}
	var total, fresh int64
	for _, pod := range pods {
		count, err := r.ask(ctx, pod)
		if err != nil {
			return Observation{}, err
		}
		state.Pods[string(pod.UID)], state.Lives[string(pod.UID)] = count, lifeOf(pod)
		total += count
		since, known := before.Pods[string(pod.UID)]
		switch {
		case len(last.State) == 0:
			since = count // the first look only says where the counting begins
		case !known:
			since = 0
		case count < since:
			since = 0
			obs.lose("pod %s began to count again: what it counted last is lost", pod.Name)
		case before.Lives[string(pod.UID)] != lifeOf(pod):
			obs.lose("pod %s began again: what it counted last is lost", pod.Name)
		}
		if count > since {
			fresh += count - since
			obs.Details = append(obs.Details, fmt.Sprintf("pod %s: %d requests more", pod.Name, count-since))
		}
	}
	for uid := range before.Pods {
		if _, still := state.Pods[uid]; !still {
			obs.lose("the pod with uid %s is gone: what it counted last is lost", uid)
		}
	}
	if obs.From.IsZero() {
		obs.From = obs.At
	}
	if fresh > 0 {
		obs.Use, obs.Uses = Used, fresh
	}
	obs.Text = fmt.Sprintf("%d pods count %d requests, %d of them since the last look", len(pods), total, fresh)
	obs.Details = cut(obs.Details)
	if obs.State, err = json.Marshal(state); err != nil {
		return Observation{}, fmt.Errorf("keep the state of this look: %w", err)
	}
	return obs, nil
}

// lifeOf is another text once a container of a pod has begun again. Which of them counts is not known, so each matters.
func lifeOf(pod corev1.Pod) string {
	var lives []string
	for _, s := range pod.Status.ContainerStatuses {
		lives = append(lives, fmt.Sprintf("%s %d %s", s.Name, s.RestartCount, s.ContainerID))
	}
	slices.Sort(lives)
	return strings.Join(lives, ", ")
}

func (r RequestEvidence) now() time.Time {
	if r.Clock == nil {
		return time.Now().UTC()
	}
	return r.Clock.Now().UTC()
}

// pods are those that run.
func (r RequestEvidence) pods(ctx context.Context) ([]corev1.Pod, error) {
	selector := r.App.Requests.Pods.Selector
	if selector == "" {
		selector = r.App.Selector
	}
	namespace := r.Namespace
	if namespace == "" {
		namespace = r.App.Namespace
	}
	running, err := runningPods(ctx, r.Kube, namespace, selector)
	if err != nil {
		return nil, fmt.Errorf("%s is counted by nobody: %w", r.App.Name, err)
	}
	return running, nil
}

// runningPods are those that run and are chosen. None at all is an error: blue is to go on serving until it is retired.
func runningPods(ctx context.Context, k *kube.Client, namespace, selector string) ([]corev1.Pod, error) {
	list, err := k.Typed.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("list the pods %s in %s: %w", selector, namespace, err)
	}
	var running []corev1.Pod
	for _, pod := range list.Items {
		// Pods of the migration's own come and go, and count nobody's requests.
		if pod.Status.Phase == corev1.PodRunning && pod.Labels[kube.LabelComponent] == "" {
			running = append(running, pod)
		}
	}
	if len(running) == 0 {
		return nil, fmt.Errorf("%s runs in %s on blue", strings.TrimRight("no pod "+selector, " "), namespace)
	}
	return running, nil
}

func (r RequestEvidence) ask(ctx context.Context, pod corev1.Pod) (int64, error) {
	at := r.App.Requests.Pods
	status, _, body, err := r.Kube.PodRequest(ctx, kube.PodRequest{Namespace: pod.Namespace, Pod: pod.Name, Port: at.Port, Method: http.MethodGet, Path: at.Path})
	if err != nil {
		return 0, err
	}
	if status != http.StatusOK {
		return 0, fmt.Errorf("pod %s answers %d at %s", pod.Name, status, at.Path)
	}
	count, err := countIn(body, r.App.Requests.Field)
	if err != nil {
		return 0, fmt.Errorf("answer of pod %s at %s: %w", pod.Name, at.Path, err)
	}
	return count, nil
}

// countIn reads a whole number from a field of a JSON object; dots lead into objects within.
func countIn(body []byte, field string) (int64, error) {
	value := json.RawMessage(body)
	for _, key := range strings.Split(field, ".") {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(value, &object); err != nil {
			return 0, fmt.Errorf("it is no JSON object: %w", err)
		}
		inner, ok := object[key]
		if !ok {
			return 0, fmt.Errorf("it has no field %s", field)
		}
		value = inner
	}
	var count *int64
	if err := json.Unmarshal(value, &count); err != nil {
		return 0, fmt.Errorf("field %s is no whole number: %w", field, err)
	}
	if count == nil || *count < 0 {
		return 0, errors.New("field " + field + " counts nothing")
	}
	return *count, nil
}

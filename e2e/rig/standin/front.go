package standin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/forwarder"
	"github.com/crossfade-project/crossfade/internal/kube"
)

// portFront is where the pods that stand in front of Services tell what they count.
const portFront = "20000"

// Stragglers are addresses from which somebody comes to the pods in front, by namespace.
type Stragglers struct {
	mu   sync.Mutex
	list map[string][]*straggler
	// counting are namespaces in whose pods one more comes with each reading.
	counting map[string]bool
	// asked is how often each pod was asked for its counts.
	asked map[string]int
}

type straggler struct {
	from netip.Addr
	// after is how often a pod's counts must have been read before it comes.
	after int
	// front is the Deployment to whose pods it comes, once; empty: to all, again and again.
	front string
	// came is when it came, as the pod's counts first told it.
	came time.Time
}

// Come lets somebody come to the first way of every pod in front in a namespace, once its counts were read so often.
func (s *Stragglers) Come(namespace string, from netip.Addr, after int) {
	s.add(namespace, &straggler{from: from, after: after})
}

// Knock lets somebody come once, and now, to the pods of one Deployment in front.
func (s *Stragglers) Knock(namespace, front string, from netip.Addr) {
	s.add(namespace, &straggler{from: from, front: front})
}

func (s *Stragglers) add(namespace string, one *straggler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list == nil {
		s.list = map[string][]*straggler{}
	}
	s.list[namespace] = append(s.list[namespace], one)
}

// Counting lets one more come to the pods in front of a namespace each time that their counts are read.
func (s *Stragglers) Counting(namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counting == nil {
		s.counting = map[string]bool{}
	}
	s.counting[namespace] = true
}

// Go lets nobody come any more.
func (s *Stragglers) Go(namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.list, namespace)
}

// front plays a pod that stands in front: it counts nobody but the stragglers, at the ways with which it was really started, and
// each try succeeds.
func (p *Pods) front(w http.ResponseWriter, r *http.Request, namespace, name, path string) {
	switch path {
	case "/try":
		_ = json.NewEncoder(w).Encode(forwarder.Tried{Status: http.StatusOK})
		return
	case "/counts":
	default:
		http.NotFound(w, r)
		return
	}
	counts, err := p.counts(r.Context(), namespace, name)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, err.Error())
		return
	}
	_ = json.NewEncoder(w).Encode(counts)
}

func (p *Pods) counts(ctx context.Context, namespace, name string) (forwarder.Counts, error) {
	pod, err := p.client.Typed.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return forwarder.Counts{}, err
	}
	config, err := configOf(pod)
	if err != nil {
		return forwarder.Counts{}, err
	}
	c := forwarder.Counts{Format: forwarder.Format, Instance: string(pod.UID), Started: pod.CreationTimestamp.Time}
	for _, way := range config.Ways {
		c.Ways = append(c.Ways, forwarder.WayCounts{Name: way.Name})
	}
	p.Stragglers.count(pod, &c.Ways[0], p.clock)
	return c, nil
}

func configOf(pod *corev1.Pod) (forwarder.Config, error) {
	args := pod.Spec.Containers[0].Args
	if pod.Labels[kube.LabelFront] == "" || len(args) != 3 || args[0] != "forwarder" || args[1] != "--config" {
		return forwarder.Config{}, fmt.Errorf("pod %s does not stand in front: %q", pod.Name, args)
	}
	return forwarder.Parse(args[2])
}

func (s *Stragglers) count(pod *corev1.Pod, way *forwarder.WayCounts, at clock.Clock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nil {
		s.asked = map[string]int{}
	}
	s.asked[string(pod.UID)]++
	if s.counting[pod.Namespace] {
		way.Connections += int64(s.asked[string(pod.UID)])
	}
	for _, one := range s.list[pod.Namespace] {
		if s.asked[string(pod.UID)] <= one.after || one.front != "" && one.front != pod.Labels[kube.LabelFront] {
			continue
		}
		way.Connections++
		now := at.Now().UTC().Truncate(time.Second)
		if one.came.IsZero() || one.front == "" {
			one.came = now
		}
		if i := slices.IndexFunc(way.Clients, func(c forwarder.Client) bool { return c.Address == one.from }); i >= 0 {
			way.Clients[i].Connections++
			way.Clients[i].Last = one.came
			continue
		}
		way.Clients = append(way.Clients, forwarder.Client{Address: one.from, Connections: 1, First: one.came, Last: one.came})
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// nodes is a stand-in: it plays the kubelets and the balancers of a cluster that has neither. Every pod runs and is ready
// at once, a pod of a Job has succeeded, and a Service of type LoadBalancer gets the address that its annotation SIDE-address
// names, whatever side it is on.
type nodes struct {
	side   string
	client *kube.Client
	next   int
}

// playNodes plays until the returned function is called.
func playNodes(side string, client *kube.Client) (stop func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	n := &nodes{side: side, client: client}
	var group sync.WaitGroup
	group.Go(func() {
		n.follow(ctx, func(ctx context.Context) (watch.Interface, error) {
			return client.Typed.CoreV1().Pods("").Watch(ctx, metav1.ListOptions{})
		})
	})
	group.Go(func() {
		n.follow(ctx, func(ctx context.Context) (watch.Interface, error) {
			return client.Typed.CoreV1().Services("").Watch(ctx, metav1.ListOptions{})
		})
	})
	return func(context.Context) error {
		cancel()
		group.Wait()
		return nil
	}
}

// follow plays on every change. What could not be written is tried again on the next one, and at the latest when the watch
// begins again.
func (n *nodes) follow(ctx context.Context, begin func(context.Context) (watch.Interface, error)) {
	for ctx.Err() == nil {
		w, err := begin(ctx)
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		for event := range w.ResultChan() {
			switch obj := event.Object.(type) {
			case *corev1.Pod:
				_ = n.playPod(ctx, obj)
			case *corev1.Service:
				_ = n.playBalancer(ctx, obj)
			}
		}
	}
}

func (n *nodes) playPod(ctx context.Context, pod *corev1.Pod) error {
	if pod.Status.Phase != corev1.PodPending || pod.DeletionTimestamp != nil {
		return nil
	}
	n.next++
	pod.Status.PodIP = fmt.Sprintf("10.200.%d.%d", n.next/250, n.next%250+1)
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	pod.Status.Phase = corev1.PodRunning
	ready := corev1.ConditionTrue
	for _, owner := range pod.OwnerReferences {
		if owner.Kind == "Job" {
			pod.Status.Phase, ready = corev1.PodSucceeded, corev1.ConditionFalse
		}
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	pod, err := n.client.Typed.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	if err != nil || ready != corev1.ConditionTrue {
		return err
	}
	return n.playEndpoints(ctx, pod)
}

// playEndpoints puts a pod behind the Services that choose it: the controller passes over pods that are on no node.
func (n *nodes) playEndpoints(ctx context.Context, pod *corev1.Pod) error {
	services, err := n.client.Typed.CoreV1().Services(pod.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, svc := range services.Items {
		if len(svc.Spec.Selector) == 0 || !labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(pod.Labels)) {
			continue
		}
		_, err := n.client.Typed.DiscoveryV1().EndpointSlices(pod.Namespace).Create(ctx, &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Name:            svc.Name + "-" + string(pod.UID),
				Labels:          map[string]string{discoveryv1.LabelServiceName: svc.Name, discoveryv1.LabelManagedBy: "stand-in"},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}},
			},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{pod.Status.PodIP}}},
		}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *nodes) playBalancer(ctx context.Context, svc *corev1.Service) error {
	ip := svc.Annotations[n.side+"-address"]
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || ip == "" || len(svc.Status.LoadBalancer.Ingress) > 0 {
		return nil
	}
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip}}
	_, err := n.client.Typed.CoreV1().Services(svc.Namespace).UpdateStatus(ctx, svc, metav1.UpdateOptions{})
	return err
}

var podPath = regexp.MustCompile(`^/api/v1/namespaces/([^/]+)/pods/([^/:]+):(\d+)/proxy(/.*)$`)

// pods is a stand-in: it plays the programs in the pods of a cluster that has no nodes. Each namespace is one application
// that can be made read-only, counts its requests, and says so.
type pods struct {
	mu       sync.Mutex
	readOnly map[string]bool
	// writes that were accepted, by namespace
	writes map[string]int
}

// playPods returns the URL of a server that answers for pods and passes everything else to the API server.
func playPods(client *kube.Client) (address string, stop func(context.Context) error, err error) {
	target, err := url.Parse(client.Config.Host)
	if err != nil {
		return "", nil, err
	}
	transport, err := rest.TransportFor(client.Config)
	if err != nil {
		return "", nil, err
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport, proxy.FlushInterval = transport, -1
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
	p := &pods{readOnly: map[string]bool{}, writes: map[string]int{}}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := podPath.FindStringSubmatch(r.URL.Path); m != nil {
			p.answer(w, r, m[1], m[4])
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	var group sync.WaitGroup
	var served error
	group.Go(func() { served = server.Serve(listener) })
	stop = func(context.Context) error {
		err := server.Close()
		group.Wait()
		if !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}
	return "http://" + listener.Addr().String(), stop, nil
}

func (p *pods) answer(w http.ResponseWriter, r *http.Request, namespace, path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case path == "/admin/read-only":
		p.readOnly[namespace] = true
	case path == "/admin/read-write":
		p.readOnly[namespace] = false
	case path == "/admin/broken":
		http.Error(w, "broken", http.StatusServiceUnavailable)
	case strings.HasPrefix(path, "/admin/"):
	case path == "/state":
		_ = json.NewEncoder(w).Encode(map[string]any{"readOnly": p.readOnly[namespace], "writes": p.writes[namespace]})
	case path == "/requests":
		_ = json.NewEncoder(w).Encode(map[string]int{"requests": 0})
	case r.Method == http.MethodGet:
		_, _ = io.WriteString(w, "it reads\n")
	case p.readOnly[namespace]:
		http.Error(w, "read-only", http.StatusServiceUnavailable)
	default:
		p.writes[namespace]++
	}
}

package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/nodeflows"
)

var podPath = regexp.MustCompile(`^/api/v1/namespaces/([^/]+)/pods/([^/:]+):(\d+)/proxy(/.*)$`)

// flowsLog is the log of a pod that the migration itself makes on a node.
var flowsLog = regexp.MustCompile(`^/api/v1/namespaces/[^/]+/pods/crossfade-node-flows-[^/]+/log$`)

// Pods plays the programs in the pods of a cluster: its server answers for pods and passes everything else to the API
// server. Each namespace is one application that can be made read-only, counts its writes and what is read, and says so.
type Pods struct {
	// URL leads to the API server with its pods. It asks for no credentials.
	URL string
	// Stragglers come to pods that stand in front of Services.
	Stragglers Stragglers

	client *kube.Client
	server *http.Server
	served chan error
	clock  clock.Clock

	mu       sync.Mutex
	readOnly map[string]bool
	// writes that were accepted, and pages that were read, by namespace
	writes, reads map[string]int
}

// PodsOptions tune PlayPods. The zero value works.
type PodsOptions struct {
	// Clock is the time in the pods.
	Clock clock.Clock
}

// PlayPods starts the server, which Stop ends.
func PlayPods(client *kube.Client, o PodsOptions) (*Pods, error) {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	target, err := url.Parse(client.Config.Host)
	if err != nil {
		return nil, fmt.Errorf("play pods: %w", err)
	}
	transport, err := rest.TransportFor(client.Config)
	if err != nil {
		return nil, fmt.Errorf("play pods: %w", err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport, proxy.FlushInterval = transport, -1
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("play pods: %w", err)
	}
	p := &Pods{URL: "http://" + listener.Addr().String(), client: client, served: make(chan error, 1), clock: o.Clock, readOnly: map[string]bool{}, writes: map[string]int{}, reads: map[string]int{}}
	p.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := podPath.FindStringSubmatch(r.URL.Path); m != nil && m[3] == portFront {
			p.front(w, r, m[1], m[2], m[4])
			return
		} else if m != nil {
			p.answer(w, r, m[1], m[4])
			return
		}
		if flowsLog.MatchString(r.URL.Path) {
			p.flows(w)
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	go func() { p.served <- p.server.Serve(listener) }()
	return p, nil
}

// flows is the log of a pod that watched its node's connections, and saw none. It began a minute ago.
func (p *Pods) flows(w http.ResponseWriter) {
	now := p.clock.Now().UTC()
	_ = json.NewEncoder(w).Encode(nodeflows.Report{Format: nodeflows.Format, From: now.Add(-time.Minute), Until: now, Looks: 60})
}

// Stop ends the server.
func (p *Pods) Stop(context.Context) error {
	err := p.server.Close()
	if served := <-p.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// ReadOnly reports whether the application of a namespace refuses writes.
func (p *Pods) ReadOnly(namespace string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.readOnly[namespace]
}

// Kubeconfig writes a kubeconfig that leads to the server.
func (p *Pods) Kubeconfig(path, name string) error { return WriteKubeconfig(path, name, p.URL) }

// WriteKubeconfig writes a kubeconfig with one context, which leads to an address that asks for no credentials.
func WriteKubeconfig(path, name, address string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: address}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name}
	config.CurrentContext = name
	return clientcmd.WriteToFile(*config, path)
}

func (p *Pods) answer(w http.ResponseWriter, r *http.Request, namespace, path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case path == "/admin/read-only":
		p.readOnly[namespace] = true
	case path == "/admin/read-write":
		p.readOnly[namespace] = false
	case path == "/admin/straggler" && r.URL.RawQuery == "": // nobody comes any more
		p.Stragglers.Go(namespace)
	case path == "/admin/straggler": // comes to the pods in front once their counts were read so often
		after, err := strconv.Atoi(r.URL.Query().Get("after"))
		from, perr := netip.ParseAddr(r.URL.Query().Get("from"))
		if err != nil || perr != nil {
			http.Error(w, "from and after are needed", http.StatusBadRequest)
			return
		}
		p.Stragglers.Come(namespace, from, after)
	case path == "/admin/broken":
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		http.Error(w, fmt.Sprintf("broken by %s %s", r.URL.RawQuery, body), http.StatusServiceUnavailable)
	case strings.HasPrefix(path, "/admin/"):
	case path == "/state":
		_ = json.NewEncoder(w).Encode(map[string]any{"readOnly": p.readOnly[namespace], "writes": p.writes[namespace]})
	case path == "/requests":
		_ = json.NewEncoder(w).Encode(map[string]int{"requests": p.reads[namespace]})
	case r.Method == http.MethodGet:
		p.reads[namespace]++
		_, _ = io.WriteString(w, "it reads\n")
	case p.readOnly[namespace]:
		http.Error(w, "read-only", http.StatusServiceUnavailable)
	default:
		p.writes[namespace]++
	}
}

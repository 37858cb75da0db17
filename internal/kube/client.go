package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/crossfade-project/crossfade/internal/silence"
)

// Names that Crossfade writes on what it makes.
const (
	// LabelMigration holds the migration's name.
	LabelMigration = "crossfade.dev/migration"
	// LabelComponent says what an object of this project is for.
	LabelComponent = "crossfade.dev/component"
	// LabelFront chooses pods of this project that stand behind a Service of blue in the place of its own.
	LabelFront = "crossfade.dev/front"
	// AnnotationFront holds, on such a Service, the selector and the ports that it had.
	AnnotationFront = "crossfade.dev/own"
	// AnnotationContent holds the Hash of the object as it was written.
	AnnotationContent = "crossfade.dev/content"
)

const (
	// askTime bounds one request to the API server as a whole. A page of a listing is the largest.
	askTime = 5 * time.Minute
	// podTime bounds one request to a pod with a short answer, podSilence how long a stream from or to one may stand still.
	podTime    = 2 * time.Minute
	podSilence = 10 * time.Minute
)

// unlimited is the QPS that turns client-go's own rate limit off.
const unlimited = -1

// Options say which cluster. The zero value is kubectl's usual chain: KUBECONFIG, the home folder, the pod's own account.
type Options struct {
	Kubeconfig string
	Context    string
	UserAgent  string
	// Timeout bounds each request; 0 is five minutes.
	Timeout time.Duration
	// Silence bounds how long the API server may say nothing.
	Silence silence.Limit
}

// Client is a connection to one cluster. It is safe for concurrent use.
type Client struct {
	Config    *rest.Config
	Dynamic   dynamic.Interface
	Typed     kubernetes.Interface
	Discovery discovery.DiscoveryInterface

	http *http.Client
	pods *http.Client // what a pod answers takes the pod's time
	base *url.URL

	mu    sync.Mutex
	known []Resource
}

// Connect reads the kubeconfig. It sends nothing: Identity does.
func Connect(opts Options) (*Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = opts.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: opts.Context}
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s, context %s: %w", orUsual(opts.Kubeconfig), orCurrent(opts.Context), err)
	}
	cfg.UserAgent, cfg.Timeout = opts.UserAgent, opts.Timeout
	if cfg.UserAgent == "" {
		cfg.UserAgent = "crossfade"
	}
	return connect(cfg, opts.Silence)
}

// CurrentContext is the name of the context that Connect uses; empty where there is none, as within a pod.
func CurrentContext(opts Options) (string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = opts.Kubeconfig
	raw, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).RawConfig()
	if err != nil {
		return "", fmt.Errorf("read kubeconfig %s: %w", orUsual(opts.Kubeconfig), err)
	}
	if opts.Context != "" {
		return opts.Context, nil
	}
	return raw.CurrentContext, nil
}

func orUsual(path string) string {
	if path == "" {
		return "(the usual chain)"
	}
	return path
}

func orCurrent(name string) string {
	if name == "" {
		return "(the current one)"
	}
	return name
}

// ForConfig makes a Client of a connection's settings, whose client-side limit it turns off.
func ForConfig(cfg *rest.Config) (*Client, error) { return connect(cfg, silence.Limit{}) }

func connect(cfg *rest.Config, limit silence.Limit) (*Client, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst, cfg.RateLimiter = unlimited, 0, nil
	cfg.WarningHandler = rest.NoWarnings{}
	forPods := rest.CopyConfig(cfg)
	if cfg.Dial == nil {
		cfg.Dial = limit.Dial()
		limit.For = max(limit.For, podSilence)
		forPods.Dial = limit.Dial()
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = askTime
	}
	hc, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Host, err)
	}
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("read the address %s: %w", cfg.Host, err)
	}
	pods, err := rest.HTTPClientFor(forPods)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Host, err)
	}
	c := &Client{Config: cfg, http: hc, pods: pods, base: base}
	if c.Dynamic, err = dynamic.NewForConfigAndClient(cfg, hc); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Host, err)
	}
	typed, err := kubernetes.NewForConfigAndClient(cfg, hc)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Host, err)
	}
	c.Typed, c.Discovery = typed, typed.Discovery()
	return c, nil
}

// Identity is what tells one cluster from another.
type Identity struct {
	// UID of the namespace kube-system: it lives as long as the cluster does.
	UID string `json:"uid"`
	// Version as the server reports it: "v1.36.3".
	Version string `json:"version"`
	// Server is the address.
	Server string `json:"server"`
}

// Identity asks the cluster who it is.
func (c *Client) Identity(ctx context.Context) (Identity, error) {
	ns, err := c.Typed.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return Identity{}, fmt.Errorf("read namespace %s at %s: %w", metav1.NamespaceSystem, c.Config.Host, err)
	}
	version, err := c.Version(ctx)
	if err != nil {
		return Identity{}, err
	}
	return Identity{UID: string(ns.UID), Version: version, Server: c.Config.Host}, nil
}

// Version asks the cluster for its version.
func (c *Client) Version(ctx context.Context) (string, error) {
	raw, err := c.Discovery.RESTClient().Get().AbsPath("/version").Do(ctx).Raw()
	if err != nil {
		return "", fmt.Errorf("read the version of %s: %w", c.Config.Host, err)
	}
	var info version.Info
	if err := json.Unmarshal(raw, &info); err != nil {
		return "", fmt.Errorf("read the version of %s: %w", c.Config.Host, err)
	}
	return info.GitVersion, nil
}

package metrics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Copy is how far the copy of one stage has come.
type Copy struct {
	Objects, Bytes           int64
	TotalObjects, TotalBytes int64
	Retries, Throttles       int64
	Failures                 int64
}

// Metrics may be told from several goroutines. A nil Metrics takes everything and does nothing.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec

	mu     sync.Mutex
	copies map[string]Copy // by stage
}

// New returns metrics that nobody has told anything.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), copies: map[string]Copy{},
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "crossfade_request_duration_seconds",
			Help: "How long a store took to answer: until the answer began for open, and to the end of the body for put. A list is one page.",
			// From a store on the same machine to one that is about to be given up.
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12),
		}, []string{"operation", "result"}),
	}
	m.registry.MustRegister(m, m.requests)
	return m
}

// Copied is told how far a stage has come, from the beginning of that stage.
func (m *Metrics) Copied(stage string, c Copy) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.copies[stage] = c
}

// Asked is told of a request to a store: "list", "head", "open", "put", "delete" or "check", how long it took, and how it
// ended in a word.
func (m *Metrics) Asked(operation string, took time.Duration, result string) {
	if m == nil {
		return
	}
	m.requests.WithLabelValues(operation, result).Observe(took.Seconds())
}

// series is one number of a Copy.
type series struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(Copy) int64
}

func allSeries() []series {
	one := func(name, help string, kind prometheus.ValueType, of func(Copy) int64) series {
		return series{prometheus.NewDesc("crossfade_copy_"+name, help, []string{"stage"}, nil), kind, of}
	}
	return []series{
		one("objects_total", "Objects copied and proven.", prometheus.CounterValue, func(c Copy) int64 { return c.Objects }),
		one("bytes_total", "Bytes of the objects that were copied and proven.", prometheus.CounterValue, func(c Copy) int64 { return c.Bytes }),
		one("planned_objects", "Objects that the plan found to copy; the source may have grown since.", prometheus.GaugeValue, func(c Copy) int64 { return c.TotalObjects }),
		one("planned_bytes", "Bytes that the plan found to copy.", prometheus.GaugeValue, func(c Copy) int64 { return c.TotalBytes }),
		one("retries_total", "Requests that failed for the moment and were made again.", prometheus.CounterValue, func(c Copy) int64 { return c.Retries }),
		one("throttles_total", "Answers that asked to slow down.", prometheus.CounterValue, func(c Copy) int64 { return c.Throttles }),
		one("failures_total", "Objects that could not be copied.", prometheus.CounterValue, func(c Copy) int64 { return c.Failures }),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, s := range allSeries() {
		to <- s.desc
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	m.mu.Lock()
	copies := maps.Clone(m.copies)
	m.mu.Unlock()
	for _, s := range allSeries() {
		for _, stage := range slices.Sorted(maps.Keys(copies)) {
			to <- prometheus.MustNewConstMetric(s.desc, s.kind, float64(s.of(copies[stage])), stage)
		}
	}
}

// endLimit bounds how long a scrape that is under way may hold up the end.
const endLimit = 2 * time.Second

// Serve serves /metrics until stop is called. An address without a host is on the loopback interface: what is copied where is
// nobody else's business. at is the address with the port that was found.
func (m *Metrics) Serve(ctx context.Context, address string) (at string, stop func() error, err error) {
	if !strings.Contains(address, ":") {
		address = ":" + address
	}
	if strings.HasPrefix(address, ":") {
		address = "127.0.0.1" + address
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return "", nil, fmt.Errorf("serve metrics at %s: %w", address, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	return listener.Addr().String(), func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endLimit)
		defer cancel()
		err := server.Shutdown(ctx)
		if serr := <-ended; !errors.Is(serr, http.ErrServerClosed) {
			err = errors.Join(err, serr)
		}
		return err
	}, nil
}

package web

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Headers that the demo's applications read and write.
const (
	HeaderSide    = "X-Side"            // on every answer: which side gave it
	HeaderVersion = "X-Version"         // on every answer: version of the application
	HeaderProbe   = "X-Crossfade-Probe" // on a request: a check, not a user
	headerRelayed = "X-Demo-Relayed"    // on a request between replicas: do not ask the others again
)

// Options describe an application. The zero value serves; it has no name, no
// side and no other replicas.
type Options struct {
	Name    string
	Side    string
	Version string
	Peers   Peers            // nil: this process is the only replica
	Client  *http.Client     // for calls to the other replicas; nil: one with a limit of 10 s
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: nothing is logged
}

// App is the common part of one replica.
type App struct {
	name, side, version string
	relay               relay
	now                 func() time.Time
	logger              *slog.Logger
	started             time.Time
	requests            atomic.Int64
	draining            atomic.Bool
	broken              atomic.Bool
}

// New returns a replica that has counted nothing yet.
func New(o Options) *App {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: relayLimit}
	}
	return &App{
		name: o.Name, side: o.Side, version: o.Version,
		relay: relay{peers: o.Peers, client: o.Client}, now: o.Now, logger: o.Logger, started: o.Now(),
	}
}

// Handler serves the common paths and hands everything else to application.
func (a *App) Handler(application http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		a.Reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /requests", a.serveRequests)
	mux.HandleFunc("POST /admin/drain", a.serveDrain(true))
	mux.HandleFunc("POST /admin/undrain", a.serveDrain(false))
	mux.HandleFunc("POST /admin/break", a.serveBreak(true))
	mux.HandleFunc("POST /admin/mend", a.serveBreak(false))
	mux.Handle("/", application)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isReal(r) {
			a.requests.Add(1)
		}
		// Set before the handler runs: a header after the body is none.
		w.Header().Set(HeaderSide, a.side)
		w.Header().Set(HeaderVersion, a.version)
		if a.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		if a.broken.Load() && !isOperators(r) {
			a.Fail(w, r, http.StatusInternalServerError, errBroken)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// errBroken is what a replica answers after it was told to break: a new version with a bug, for rehearsals.
var errBroken = errors.New("the application is broken, as it was told to be")

// isReal tells a user's request from a check, a probe and the operator's own.
func isReal(r *http.Request) bool {
	switch {
	case r.Header.Get(HeaderProbe) != "":
		return false
	case strings.HasPrefix(r.UserAgent(), "kube-probe/"):
		return false
	case isOperators(r):
		return false
	}
	return true
}

// isOperators tells the paths that are there for who runs the application.
func isOperators(r *http.Request) bool {
	return r.URL.Path == "/healthz" || r.URL.Path == "/requests" || strings.HasPrefix(r.URL.Path, "/admin/")
}

// Count is the answer of /requests.
type Count struct {
	Requests int64     `json:"requests"` // real ones, of all replicas
	Since    time.Time `json:"since"`    // complete from here on: the start of the youngest replica
	Replicas int       `json:"replicas"` // how many were asked, and answered
}

func (a *App) serveRequests(w http.ResponseWriter, r *http.Request) {
	total := Count{Requests: a.requests.Load(), Since: a.started.UTC().Truncate(time.Second), Replicas: 1}
	others, err := Ask[Count](a, r)
	if err != nil {
		a.Fail(w, r, http.StatusServiceUnavailable, err)
		return
	}
	for _, other := range others {
		total.Requests += other.Requests
		total.Replicas += other.Replicas
		if other.Since.After(total.Since) {
			total.Since = other.Since
		}
	}
	a.Reply(w, http.StatusOK, total)
}

func (a *App) serveDrain(draining bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.draining.Store(draining)
		if draining {
			w.Header().Set("Connection", "close")
		}
		others, err := a.Tell(r)
		if err != nil {
			a.Fail(w, r, http.StatusBadGateway, err)
			return
		}
		a.logger.Info("drain switched", "draining", draining, "replicas", others+1)
		a.Reply(w, http.StatusOK, map[string]any{"draining": draining, "replicas": others + 1})
	}
}

// serveBreak makes every answer to users and checks a 500, on all replicas, or good again. The probe of readiness stays
// good: Kubernetes sees nothing wrong.
func (a *App) serveBreak(broken bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.broken.Store(broken)
		others, err := a.Tell(r)
		if err != nil {
			a.Fail(w, r, http.StatusBadGateway, err)
			return
		}
		a.logger.Info("break switched", "broken", broken, "replicas", others+1)
		a.Reply(w, http.StatusOK, map[string]any{"broken": broken, "replicas": others + 1})
	}
}

// Fail answers with status and err, and logs it.
func (a *App) Fail(w http.ResponseWriter, r *http.Request, status int, err error) {
	a.logger.Warn("request failed", "method", r.Method, "path", r.URL.Path, "status", status, "error", err)
	a.Reply(w, status, map[string]string{"error": err.Error()})
}

// Reply answers with status and v as JSON.
func (a *App) Reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(append(body, '\n')); err != nil {
		a.logger.Debug("client left", "error", err)
	}
}

package synckill

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// Phase is when a request kills the command.
type Phase string

// The phases of a request.
const (
	Before   Phase = "before"
	After    Phase = "after"
	Answered Phase = "answered"
)

// front stands before a server and tells the trial that a request is of.
type front struct {
	next   http.Handler
	server *httptest.Server

	mu     sync.Mutex
	trials map[string]*watch
}

func newFront(next http.Handler) *front {
	f := &front{next: next, trials: map[string]*watch{}}
	f.server = httptest.NewServer(f)
	return f
}

// watch has the requests of a trial from now on told to w: those with its name as bucket or as access key.
func (f *front) watch(name string, w *watch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trials[name] = w
}

func (f *front) of(r *http.Request) *watch {
	bucket, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(rest, "/")
	f.mu.Lock()
	defer f.mu.Unlock()
	if w := f.trials[bucket]; w != nil {
		return w
	}
	return f.trials[key]
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	of := f.of(r)
	if of == nil {
		f.next.ServeHTTP(w, r)
		return
	}
	of.inFlight.Add(1)
	defer of.inFlight.Done()
	phase := of.begins()
	if phase == Before {
		of.kill()
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client has gone before all of it was here
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r = r.WithContext(context.WithoutCancel(r.Context()))
	answer := httptest.NewRecorder()
	f.next.ServeHTTP(answer, r)
	of.done(r, answer.Code)
	if phase == After {
		of.kill()
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // the client may be gone
	if phase == Answered {
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		of.kill()
	}
}

// watch is what is known of a trial's requests.
type watch struct {
	inFlight sync.WaitGroup

	mu       sync.Mutex
	requests int // of this run
	at       int // the request that kills; 0 is none
	phase    Phase
	end      func() // kills the command
	killed   bool
	parts    map[string]int // how often each was stored, by key and number
	puts     map[string]int // how often each small object was
}

func newWatch() *watch { return &watch{parts: map[string]int{}, puts: map[string]int{}} }

// run begins another run of the command.
func (w *watch) run(at int, phase Phase, end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests, w.at, w.phase, w.end, w.killed = 0, at, phase, end, false
}

// begins counts a request, and says in which phase it kills, if it does.
func (w *watch) begins() Phase {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests++
	if w.at > 0 && w.requests == w.at {
		return w.phase
	}
	return ""
}

// kill ends the command, once.
func (w *watch) kill() {
	w.mu.Lock()
	end, killed := w.end, w.killed
	w.killed = true
	w.mu.Unlock()
	if end != nil && !killed {
		end()
	}
}

// done remembers what a request wrote.
func (w *watch) done(r *http.Request, status int) {
	if r.Method != http.MethodPut || status != http.StatusOK {
		return
	}
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	w.mu.Lock()
	defer w.mu.Unlock()
	if query.Has("partNumber") {
		w.parts[key+" part "+query.Get("partNumber")]++
	} else if key != "" {
		w.puts[key]++
	}
}

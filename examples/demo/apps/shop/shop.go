package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/crossfade-project/crossfade/examples/demo/internal/store"
	"github.com/crossfade-project/crossfade/examples/demo/internal/web"
)

const (
	headerReadOnly = "X-Read-Only"
	maxItem        = 1 << 20          // bytes
	storeLimit     = 10 * time.Second // for one call to the store
	shutLimit      = 30 * time.Second // for the writes under way at a freeze; longer than storeLimit
	adoptLimit     = 3 * time.Second  // for the other replicas' mode at the start
	defaultList    = 100
	maxList        = 1000
)

type shopOptions struct {
	App      *web.App
	Side     string
	Items    store.Store
	ReadOnly bool
	Now      func() time.Time // nil: time.Now
}

type shop struct {
	app     *web.App
	side    string
	items   store.Store
	now     func() time.Time
	started bool // read-only by its configuration
	gate    gate
}

func newShop(o shopOptions) *shop {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &shop{app: o.App, side: o.Side, items: o.Items, now: o.Now, started: o.ReadOnly, gate: gate{closed: o.ReadOnly}}
}

// adopt takes over the mode of replicas that were started with the same READ_ONLY
// and were told otherwise since: a replica that starts again during a freeze must
// not write. Those with another READ_ONLY are being replaced, and have no say. If
// the others cannot be asked, which is usual when all start at once, the
// configuration stands and the error says so.
func (s *shop) adopt(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, adoptLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "/admin/mode", nil)
	if err != nil {
		return fmt.Errorf("ask the other replicas for their mode: %w", err)
	}
	others, err := web.Ask[mode](s.app, request)
	if err != nil {
		return fmt.Errorf("ask the other replicas for their mode: %w", err)
	}
	asked, shut := 0, false
	for _, other := range others {
		if other.Started == s.started {
			asked++
			shut = shut || other.ReadOnly
		}
	}
	if asked > 0 {
		s.gate.set(shut)
	}
	return nil
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /items", s.list)
	mux.HandleFunc("GET /items/{key...}", s.read)
	mux.HandleFunc("PUT /items/{key...}", s.write)
	mux.HandleFunc("GET /admin/mode", s.showMode)
	mux.HandleFunc("POST /admin/read-only", s.shut)
	mux.HandleFunc("POST /admin/read-write", s.open)
	return mux
}

func (s *shop) page(w http.ResponseWriter, _ *http.Request) {
	state := "read-write"
	if s.mode().ReadOnly {
		state = "read-only"
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<!doctype html>\n<title>shop</title>\n<p>shop %s on %s, %s\n", version, html.EscapeString(s.side), state) // a client that left is not an error of ours
}

func (s *shop) list(w http.ResponseWriter, r *http.Request) {
	limit := defaultList
	if text := r.FormValue("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxList {
			s.app.Fail(w, r, http.StatusBadRequest, fmt.Errorf("limit is %q; want 1 to %d", text, maxList))
			return
		}
		limit = n
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeLimit)
	defer cancel()
	keys, err := s.items.List(ctx, r.FormValue("prefix"), limit)
	if err != nil {
		s.app.Fail(w, r, http.StatusBadGateway, err)
		return
	}
	if keys == nil {
		keys = []string{}
	}
	s.app.Reply(w, http.StatusOK, map[string][]string{"items": keys})
}

func (s *shop) read(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), storeLimit)
	defer cancel()
	body, err := s.items.Get(ctx, r.PathValue("key"))
	switch {
	case errors.Is(err, store.ErrNotFound):
		s.app.Fail(w, r, http.StatusNotFound, err)
	case err != nil:
		s.app.Fail(w, r, http.StatusBadGateway, err)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(body) // a client that left is not an error of ours
	}
}

func (s *shop) write(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	if key == "" {
		s.app.Fail(w, r, http.StatusBadRequest, errors.New("an item needs a name: PUT /items/NAME"))
		return
	}
	// The body is read before the gate: a slow client must not hold up a freeze.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxItem))
	if err != nil {
		s.app.Fail(w, r, http.StatusBadRequest, fmt.Errorf("read item %s: %w", key, err))
		return
	}
	if !s.gate.enter() {
		w.Header().Set(headerReadOnly, "true")
		w.Header().Set("Retry-After", "1")
		s.app.Reply(w, http.StatusServiceUnavailable, map[string]string{"error": "the shop is read-only for a while"})
		return
	}
	// Not the request's context: a client that leaves must not leave a write
	// behind that the store finishes after the gate has let it go.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeLimit)
	defer cancel()
	err = s.items.Put(ctx, key, body)
	s.gate.leave(err, s.now())
	if err != nil {
		s.app.Fail(w, r, http.StatusBadGateway, err)
		return
	}
	s.app.Reply(w, http.StatusCreated, map[string]string{"item": key})
}

// mode is that of this replica alone.
func (s *shop) mode() mode {
	m := s.gate.mode()
	m.Started = s.started
	return m
}

func (s *shop) showMode(w http.ResponseWriter, r *http.Request) {
	total := s.mode()
	others, err := web.Ask[mode](s.app, r)
	if err != nil {
		s.app.Fail(w, r, http.StatusServiceUnavailable, err)
		return
	}
	for _, other := range others {
		total.add(other)
	}
	s.app.Reply(w, http.StatusOK, total)
}

// shut freezes this replica first and the others at the same time as each other.
// The answer is 200 only when all are frozen and no write is under way anywhere;
// after any other answer the call can be made again.
func (s *shop) shut(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), shutLimit)
	defer cancel()
	if err := s.gate.shut(ctx); err != nil {
		s.app.Fail(w, r, http.StatusGatewayTimeout, err)
		return
	}
	others, err := web.Ask[mode](s.app, r)
	if err != nil {
		s.app.Fail(w, r, http.StatusBadGateway, err)
		return
	}
	s.replyMode(w, others)
}

func (s *shop) open(w http.ResponseWriter, r *http.Request) {
	s.gate.set(false)
	others, err := web.Ask[mode](s.app, r)
	if err != nil {
		s.app.Fail(w, r, http.StatusBadGateway, err)
		return
	}
	s.replyMode(w, others)
}

func (s *shop) replyMode(w http.ResponseWriter, others []mode) {
	total := s.mode()
	for _, other := range others {
		total.add(other)
	}
	s.app.Reply(w, http.StatusOK, total)
}

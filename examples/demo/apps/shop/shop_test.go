package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/examples/demo/internal/store"
	"github.com/crossfade-project/crossfade/examples/demo/internal/web"
)

// slowStore holds every Put between begun and release.
type slowStore struct {
	store.Store
	begun, release chan struct{}
}

func (s slowStore) Put(ctx context.Context, key string, body []byte) error {
	s.begun <- struct{}{}
	<-s.release
	return s.Store.Put(ctx, key, body)
}

// deadStore refuses everything.
type deadStore struct{ store.Store }

func (deadStore) Put(context.Context, string, []byte) error { return errors.New("store is down") }
func (deadStore) Get(context.Context, string) ([]byte, error) {
	return nil, errors.New("store is down")
}

type peerList []string

func (p peerList) Others(context.Context) ([]string, error) { return p, nil }

func open(t *testing.T, items store.Store, readOnly bool, peers ...string) *httptest.Server {
	t.Helper()
	now := time.Date(2026, 11, 21, 13, 45, 0, 0, time.UTC)
	app := web.New(web.Options{Name: name, Side: "blue", Peers: peerList(peers)})
	s := newShop(shopOptions{App: app, Side: "blue", Items: items, ReadOnly: readOnly, Now: func() time.Time { return now }})
	server := httptest.NewServer(app.Handler(s.routes()))
	t.Cleanup(server.Close)
	return server
}

func call(t *testing.T, method, url, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(answer)
}

func modeOf(t *testing.T, url string) mode {
	t.Helper()
	response, body := call(t, http.MethodGet, url+"/admin/mode", "")
	var m mode
	if err := json.Unmarshal([]byte(body), &m); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET /admin/mode = %s %s (%v)", response.Status, body, err)
	}
	return m
}

func TestItemsAreWrittenReadAndListed(t *testing.T) {
	server := open(t, store.NewMemory(), false)
	if response, body := call(t, http.MethodPut, server.URL+"/items/orders/1", "two bandits"); response.StatusCode != http.StatusCreated {
		t.Fatalf("PUT = %s %s, want 201", response.Status, body)
	}
	if response, body := call(t, http.MethodGet, server.URL+"/items/orders/1", ""); response.StatusCode != http.StatusOK || body != "two bandits" {
		t.Errorf("GET = %s %q, want the item", response.Status, body)
	}
	if _, body := call(t, http.MethodGet, server.URL+"/items?prefix=orders/", ""); strings.TrimSpace(body) != `{"items":["orders/1"]}` {
		t.Errorf("list = %s", body)
	}
	if _, body := call(t, http.MethodGet, server.URL+"/items?prefix=none/", ""); strings.TrimSpace(body) != `{"items":[]}` {
		t.Errorf("list of nothing = %s", body)
	}
	if _, body := call(t, http.MethodGet, server.URL+"/", ""); !strings.Contains(body, "shop 1 on blue, read-write") {
		t.Errorf("page = %s", body)
	}
	for path, want := range map[string]int{"/items/none": 404, "/items?limit=0": 400, "/items?limit=x": 400} {
		if response, _ := call(t, http.MethodGet, server.URL+path, ""); response.StatusCode != want {
			t.Errorf("GET %s = %s, want %d", path, response.Status, want)
		}
	}
	if response, _ := call(t, http.MethodPut, server.URL+"/items/", "x"); response.StatusCode != http.StatusBadRequest {
		t.Errorf("PUT without a name = %s, want 400", response.Status)
	}
}

func TestI01_ReadOnlyRefusesWritesAndServesReads(t *testing.T) {
	items := store.NewMemory()
	server := open(t, items, false)
	call(t, http.MethodPut, server.URL+"/items/a", "before")
	call(t, http.MethodPost, server.URL+"/admin/read-only", "")

	response, _ := call(t, http.MethodPut, server.URL+"/items/b", "during")
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("X-Read-Only") != "true" || response.Header.Get("Retry-After") == "" {
		t.Errorf("PUT while read-only = %s %v, want 503 with X-Read-Only and Retry-After", response.Status, response.Header)
	}
	if _, err := items.Get(t.Context(), "b"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the refused write is in the store (%v)", err)
	}
	if response, body := call(t, http.MethodGet, server.URL+"/items/a", ""); response.StatusCode != http.StatusOK || body != "before" {
		t.Errorf("GET while read-only = %s %q, want the item", response.Status, body)
	}
	m := modeOf(t, server.URL)
	if !m.ReadOnly || m.Accepted != 1 || m.Refused != 1 || m.LastWrite == nil {
		t.Errorf("mode = %+v, want read-only, 1 accepted, 1 refused", m)
	}

	call(t, http.MethodPost, server.URL+"/admin/read-write", "")
	if response, _ := call(t, http.MethodPut, server.URL+"/items/b", "after"); response.StatusCode != http.StatusCreated {
		t.Errorf("PUT after the thaw = %s, want 201", response.Status)
	}
}

func TestI07_FreezeIsConfirmedOnlyAfterWritesUnderWayEnded(t *testing.T) {
	slow := slowStore{Store: store.NewMemory(), begun: make(chan struct{}), release: make(chan struct{})}
	release := sync.OnceFunc(func() { close(slow.release) })
	other := open(t, slow, false)
	t.Cleanup(release) // before the server closes, which waits for the write
	asked := open(t, store.NewMemory(), false, other.URL)

	written, frozen := make(chan int, 1), make(chan string, 1)
	go func() {
		response, _ := call(t, http.MethodPut, other.URL+"/items/slow", "x")
		written <- response.StatusCode
	}()
	<-slow.begun
	go func() {
		response, body := call(t, http.MethodPost, asked.URL+"/admin/read-only", "")
		frozen <- response.Status + body
	}()
	deadline := time.Now().Add(10 * time.Second)
	for !modeOf(t, other.URL).ReadOnly { // until the freeze has reached the other replica
		if time.Now().After(deadline) {
			t.Fatal("the freeze never reached the other replica")
		}
	}
	select {
	case answer := <-frozen:
		t.Fatalf("freeze was confirmed while a write was under way: %s", answer)
	default:
	}
	release()
	if status := <-written; status != http.StatusCreated {
		t.Errorf("the write under way got %d, want 201", status)
	}
	if answer := <-frozen; !strings.HasPrefix(answer, "200") || !strings.Contains(answer, `"accepted":1`) || !strings.Contains(answer, `"replicas":2`) {
		t.Errorf("freeze = %s, want 200 for 2 replicas with the write counted", answer)
	}
}

func TestI07_FreezeThatMissesAReplicaIsAnError(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	server := open(t, store.NewMemory(), false, gone.URL)
	if response, body := call(t, http.MethodPost, server.URL+"/admin/read-only", ""); response.StatusCode != http.StatusBadGateway {
		t.Errorf("freeze without one replica = %s %s, want 502", response.Status, body)
	}
}

func TestI07_AClientThatLeavesDoesNotLeaveAWriteBehindTheGate(t *testing.T) {
	slow := slowStore{Store: store.NewMemory(), begun: make(chan struct{}), release: make(chan struct{})}
	app := web.New(web.Options{})
	s := newShop(shopOptions{App: app, Items: slow})
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		request := httptest.NewRequestWithContext(ctx, http.MethodPut, "/items/a", strings.NewReader("x"))
		s.routes().ServeHTTP(httptest.NewRecorder(), request)
	}()
	<-slow.begun
	leave()
	close(slow.release)
	<-done
	if m := s.gate.mode(); m.Accepted != 1 {
		t.Errorf("mode = %+v, want the write finished and counted", m)
	}
}

func TestI07_AReplicaThatStartsAgainDuringAFreezeDoesNotWrite(t *testing.T) {
	for _, tt := range []struct {
		name               string
		otherStarted       bool
		told               string // to the other replica
		started, wantsShut bool
	}{
		{"frozen, same configuration", false, "read-only", false, true},
		{"thawed, same configuration", true, "read-write", true, false},
		{"not told anything", false, "", false, false},
		{"replaced by a new configuration", true, "", false, false},
		{"frozen, replaced by a new configuration", false, "read-only", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			other := open(t, store.NewMemory(), tt.otherStarted)
			if tt.told != "" {
				call(t, http.MethodPost, other.URL+"/admin/"+tt.told, "")
			}
			s := newShop(shopOptions{App: web.New(web.Options{Peers: peerList{other.URL}}), ReadOnly: tt.started})
			if err := s.adopt(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := s.mode().ReadOnly; got != tt.wantsShut {
				t.Errorf("starts read-only: %v, want %v", got, tt.wantsShut)
			}
		})
	}
	s := newShop(shopOptions{App: web.New(web.Options{Peers: peerList{"http://127.0.0.1:1"}})})
	if err := s.adopt(t.Context()); err == nil || s.mode().ReadOnly {
		t.Errorf("without an answer: %v, read-only %v; want an error and the configuration", err, s.mode().ReadOnly)
	}
}

func TestStartsReadOnlyWhenToldTo(t *testing.T) {
	server := open(t, store.NewMemory(), true)
	if response, _ := call(t, http.MethodPut, server.URL+"/items/a", "x"); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("PUT = %s, want 503", response.Status)
	}
	for text, want := range map[string]string{"": "false", "true": "true", "false": "false", "yes": "error"} {
		readOnly, err := readOnlyFromEnv(func(string) string { return text })
		got := "false"
		if readOnly {
			got = "true"
		}
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("READ_ONLY=%q: %s, want %s", text, got, want)
		}
	}
}

func TestAWriteThatTheStoreRefusesIsNotAccepted(t *testing.T) {
	server := open(t, deadStore{}, false)
	if response, _ := call(t, http.MethodPut, server.URL+"/items/a", "x"); response.StatusCode != http.StatusBadGateway {
		t.Errorf("PUT = %s, want 502", response.Status)
	}
	if response, _ := call(t, http.MethodGet, server.URL+"/items/a", ""); response.StatusCode != http.StatusBadGateway {
		t.Errorf("GET = %s, want 502", response.Status)
	}
	if m := modeOf(t, server.URL); m.Accepted != 0 || m.Failed != 1 || m.LastWrite != nil {
		t.Errorf("mode = %+v, want no write accepted", m)
	}
}

func TestGateStaysShutWhenTheWaitIsCutShort(t *testing.T) {
	var g gate
	if !g.enter() {
		t.Fatal("an open gate refused")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.shut(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shut = %v, want context.Canceled", err)
	}
	if g.enter() {
		t.Fatal("the gate let a write in after shut began")
	}
	g.leave(nil, time.Unix(1, 0))
	if err := g.shut(t.Context()); err != nil {
		t.Errorf("shut again = %v", err)
	}
}

package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// peerList is Peers with a fixed answer.
type peerList struct {
	others []string
	err    error
}

func (p peerList) Others(context.Context) ([]string, error) { return p.others, p.err }

func hello() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
}

func start(t *testing.T, o Options) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(New(o).Handler(hello()))
	t.Cleanup(server.Close)
	return server
}

func call(t *testing.T, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func requests(t *testing.T, url string) Count {
	t.Helper()
	response, body := call(t, http.MethodGet, url+"/requests")
	if response.StatusCode != http.StatusOK {
		t.Fatalf("GET /requests = %s %s", response.Status, body)
	}
	var count Count
	if err := json.Unmarshal([]byte(body), &count); err != nil {
		t.Fatal(err)
	}
	return count
}

func TestC24_OnlyRealRequestsAreCounted(t *testing.T) {
	server := start(t, Options{})
	call(t, http.MethodGet, server.URL+"/healthz")
	call(t, http.MethodGet, server.URL+"/requests")
	call(t, http.MethodPost, server.URL+"/admin/undrain")
	call(t, http.MethodGet, server.URL+"/", HeaderProbe, "gate")
	call(t, http.MethodGet, server.URL+"/", "User-Agent", "kube-probe/1.36")
	if n := requests(t, server.URL).Requests; n != 0 {
		t.Errorf("after checks and probes alone: %d requests, want 0", n)
	}
	call(t, http.MethodGet, server.URL+"/")
	call(t, http.MethodGet, server.URL+"/missing")
	if n := requests(t, server.URL).Requests; n != 2 {
		t.Errorf("after two requests of users: %d, want 2", n)
	}
}

func TestC24_CountIsOfAllReplicasSinceTheYoungest(t *testing.T) {
	early := time.Date(2026, 11, 21, 13, 0, 0, 0, time.UTC)
	late := early.Add(time.Minute)
	second := start(t, Options{Now: func() time.Time { return late }})
	first := start(t, Options{Now: func() time.Time { return early }, Peers: peerList{others: []string{second.URL}}})
	call(t, http.MethodGet, first.URL+"/")
	call(t, http.MethodGet, second.URL+"/")
	call(t, http.MethodGet, second.URL+"/")
	count := requests(t, first.URL)
	if count.Requests != 3 || count.Replicas != 2 || !count.Since.Equal(late) {
		t.Errorf("count = %+v, want 3 requests of 2 replicas since %s", count, late)
	}
	if _, body := call(t, http.MethodGet, first.URL+"/requests?replica=this"); !strings.Contains(body, `"requests":1,`) || !strings.Contains(body, `"replicas":1`) {
		t.Errorf("count of one replica = %s, want its 1 request", body)
	}
}

func TestI08_CountWithoutOneReplicaIsAnError(t *testing.T) {
	gone := httptest.NewServer(hello())
	gone.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusGatewayTimeout)
		_, _ = io.WriteString(w, `{"error":"writes under way"}`)
	}))
	defer broken.Close()
	for name, peers := range map[string]Peers{
		"replica does not answer": peerList{others: []string{gone.URL}},
		"replica failed":          peerList{others: []string{broken.URL}},
		"replicas not known":      peerList{err: errors.New("API server down")},
	} {
		server := start(t, Options{Peers: peers})
		if response, body := call(t, http.MethodGet, server.URL+"/requests"); response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: GET /requests = %s %s, want 503", name, response.Status, body)
		}
		if response, _ := call(t, http.MethodPost, server.URL+"/admin/drain"); response.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: POST /admin/drain = %s, want 502", name, response.Status)
		}
	}
}

func TestDrainClosesEachConnectionAfterItsAnswer(t *testing.T) {
	second := start(t, Options{})
	first := start(t, Options{Peers: peerList{others: []string{second.URL}}})
	for _, step := range []struct {
		path  string
		close bool
	}{{"", false}, {"/admin/drain", true}, {"/admin/undrain", false}} {
		if step.path != "" {
			call(t, http.MethodPost, first.URL+step.path)
		}
		for name, url := range map[string]string{"asked": first.URL, "other": second.URL} {
			response, body := call(t, http.MethodGet, url+"/")
			if response.Close != step.close || body != "hello" {
				t.Errorf("after %q, %s replica: Connection: close = %v, body %q; want %v and an answer", step.path, name, response.Close, body, step.close)
			}
		}
	}
}

func TestEveryAnswerNamesItsSide(t *testing.T) {
	server := start(t, Options{Side: "green", Version: "1"})
	for _, path := range []string{"/", "/healthz", "/requests"} {
		response, _ := call(t, http.MethodGet, server.URL+path)
		if response.Header.Get(HeaderSide) != "green" || response.Header.Get(HeaderVersion) != "1" {
			t.Errorf("%s: %s %q, %s %q", path, HeaderSide, response.Header.Get(HeaderSide), HeaderVersion, response.Header.Get(HeaderVersion))
		}
	}
}

func TestServeFinishesWhatIsUnderWay(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "finished")
	})
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	app := New(Options{Name: "slow"})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- app.serve(ctx, listener, app.Handler(slow), 0) }()

	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: demo\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	stop()
	close(release)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("the request under way got no answer: %v", err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "finished" {
		t.Errorf("body = %q, %v", body, err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve = %v", err)
	}
}

func TestFailLogsOnceAndAnswersJSON(t *testing.T) {
	recorder := httptest.NewRecorder()
	New(Options{}).Fail(recorder, httptest.NewRequest(http.MethodGet, "/", nil), http.StatusBadGateway, errors.New("no store"))
	if recorder.Code != http.StatusBadGateway || !strings.Contains(recorder.Body.String(), `"error":"no store"`) {
		t.Errorf("Fail answered %d %s", recorder.Code, recorder.Body)
	}
}

func TestABrokenReplicaFailsUsersAndChecksAndStillObeysItsOperator(t *testing.T) {
	other := start(t, Options{})
	server := start(t, Options{Peers: peerList{others: []string{other.URL}}})
	call(t, http.MethodPost, server.URL+"/admin/break")
	for _, url := range []string{server.URL, other.URL} {
		for _, probe := range []string{"", "gate"} {
			if response, _ := call(t, http.MethodGet, url+"/", HeaderProbe, probe); response.StatusCode != http.StatusInternalServerError {
				t.Errorf("GET / with probe %q = %s, want 500", probe, response.Status)
			}
		}
		if response, _ := call(t, http.MethodGet, url+"/healthz"); response.StatusCode != http.StatusOK {
			t.Errorf("GET /healthz = %s, want 200", response.Status)
		}
	}
	call(t, http.MethodPost, server.URL+"/admin/mend")
	if response, _ := call(t, http.MethodGet, other.URL+"/"); response.StatusCode != http.StatusOK {
		t.Errorf("GET / after the mend = %s, want 200", response.Status)
	}
}

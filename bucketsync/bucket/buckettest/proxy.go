package buckettest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// breaker answers in place of the server. It gets the server's own answer to write what it likes of it.
type breaker func(w http.ResponseWriter, own *httptest.ResponseRecorder)

// proxy stands before a server and breaks some of its answers.
type proxy struct {
	url  string
	seen atomic.Int32
}

// requests is how many there were of the kind that it breaks.
func (p *proxy) requests() int { return int(p.seen.Load()) }

// newProxy breaks requests of a kind from the one of the given number on.
func newProxy(t *testing.T, endpoint string, concerns func(*http.Request) bool, first int, breakIt breaker) *proxy {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
		r.Out.Host = r.In.Host // which is signed
	}}
	p := &proxy{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !concerns(r) || int(p.seen.Add(1)) < first {
			forward.ServeHTTP(w, r)
			return
		}
		own := httptest.NewRecorder()
		forward.ServeHTTP(own, r)
		breakIt(w, own)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// isListing knows a page of a listing of S3, Azure and GCS.
func isListing(r *http.Request) bool {
	query := r.URL.Query()
	return r.Method == http.MethodGet && (query.Get("list-type") == "2" || query.Get("comp") == "list" || strings.HasSuffix(r.URL.Path, "/o"))
}

// isRead knows a request for the bytes of an object that a check calls key….
func isRead(r *http.Request) bool {
	query := r.URL.Query()
	return r.Method == http.MethodGet && !isListing(r) && !query.Has("tagging") && query.Get("comp") == "" &&
		(query.Get("alt") == "media" || strings.Contains(r.URL.Path, "/key") && query.Get("alt") == "")
}

// refuse is an error that no SDK takes for a moment's.
func refuse(w http.ResponseWriter, _ *httptest.ResponseRecorder) {
	http.Error(w, "broken on purpose", http.StatusBadRequest)
}

func notFound(w http.ResponseWriter, _ *httptest.ResponseRecorder) {
	http.Error(w, "", http.StatusNotFound)
}

// emptyAnswer says that all is well, and nothing else.
func emptyAnswer(w http.ResponseWriter, own *httptest.ResponseRecorder) {
	w.Header().Set("Content-Type", own.Header().Get("Content-Type"))
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// cutOff sends half a page and its right length, and closes the connection.
func cutOff(w http.ResponseWriter, own *httptest.ResponseRecorder) {
	body := own.Body.Bytes()
	copyHeader(w, own)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(own.Code)
	_, _ = w.Write(body[:len(body)/2]) // the client notices
}

// tear sends half a page as if it were all.
func tear(w http.ResponseWriter, own *httptest.ResponseRecorder) {
	body := own.Body.Bytes()
	copyHeader(w, own)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)/2))
	w.WriteHeader(own.Code)
	_, _ = w.Write(body[:len(body)/2]) // the client notices
}

// lengthen sends more than the object has, and says so.
func lengthen(w http.ResponseWriter, own *httptest.ResponseRecorder) {
	copyHeader(w, own)
	w.Header().Set("Content-Length", strconv.Itoa(own.Body.Len()+1))
	w.WriteHeader(own.Code)
	_, _ = w.Write(append(own.Body.Bytes(), 'x')) // the client notices
}

func copyHeader(w http.ResponseWriter, own *httptest.ResponseRecorder) {
	for name, values := range own.Header() {
		w.Header()[name] = values
	}
}

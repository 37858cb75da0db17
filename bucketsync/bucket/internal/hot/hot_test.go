package hot

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/direct"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/throttle"
	"github.com/crossfade-project/crossfade/internal/silence"
)

// serve gives a wire to a server that answers with the status that the path names, and tells what it was sent.
func serve(t *testing.T) (*Wire, *url.URL) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write(sent)
			panic(http.ErrAbortHandler)
		}
		status, err := strconv.Atoi(strings.Trim(r.URL.Path, "/"))
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Sent", r.Method+" "+r.Header.Get("X-Mine")+" "+strconv.FormatInt(r.ContentLength, 10))
		w.WriteHeader(status)
		_, _ = w.Write(sent)
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	by := &direct.Transport{Dial: silence.Limit{For: 10 * time.Second}.Dial(), Otherwise: http.DefaultTransport}
	return &Wire{Throttle: &throttle.Transport{Next: http.DefaultTransport}, By: by}, u
}

func TestOnlySuccessIsKnown(t *testing.T) {
	w, at := serve(t)
	for path, known := range map[string]bool{
		"/200": true, "/201": true, "/206": true, "/202": false, "/299": false, "/304": false, "/400": false, "/403": false, "/404": false, "/412": false, "/429": false, "/500": false, "/503": false, "/cut": false,
	} {
		w.failed.Store(0)
		u := at.JoinPath(path)
		if header, _ := w.Write(t.Context(), http.MethodPut, u, http.Header{}, Body{}); (header != nil) != known {
			t.Errorf("a write that is answered %s gives %v", path, header)
		}
		if path == "/cut" {
			continue // whoever reads finds it out
		}
		answer := w.Get(t.Context(), u, http.Header{})
		if (answer != nil) != known {
			t.Errorf("a read that is answered %s gives %v", path, answer)
		}
		if answer != nil {
			_ = answer.Body.Close()
		}
	}
	w.Sign = func(*http.Request) bool { return false }
	if header, _ := w.Write(t.Context(), http.MethodPut, at.JoinPath("/200"), http.Header{}, Body{}); header != nil {
		t.Error("a request that cannot be signed is sent")
	}
}

// A store that only the SDK understands does not get everything twice, and one that was down for a while is tried again.
func TestAStoreThatIsNotUnderstoodIsLeftToTheSDK(t *testing.T) {
	w, at := serve(t)
	tried := 0
	w.Sign = func(*http.Request) bool {
		tried++
		return true
	}
	ask := func(path string, times int) (known int) {
		for range times {
			if header, _ := w.Write(t.Context(), http.MethodPut, at.JoinPath(path), http.Header{}, Body{}); header != nil {
				known++
			}
		}
		return known
	}
	ask("/403", doubt+10*doubt)
	if tried != doubt+10 {
		t.Errorf("%d requests of %d are tried", tried, 11*doubt)
	}
	if known := ask("/200", 2*doubt); known <= doubt {
		t.Errorf("%d requests of %d are known after the store is back", known, 2*doubt)
	}
	tried = 0
	ask("/403", doubt-1)
	ask("/200", 1)
	if ask("/403", doubt-1); tried != 2*doubt-1 {
		t.Errorf("%d requests of %d are tried of a store that refuses some", tried, 2*doubt-1)
	}
}

// By nil requests go the way of the SDK's.
func TestABodyGoesAsAWhole(t *testing.T) {
	w, at := serve(t)
	part, err := body.Whole(t.Context(), strings.NewReader("part"), 4, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer part.Done()
	w.Sign = func(r *http.Request) bool {
		r.Header["X-Mine"] = []string{"signed"}
		return true
	}
	direct := w.By
	for want, content := range map[string]Body{"": {}, "part": {Part: part}, "<part>": {Before: []byte("<"), After: []byte(">"), Part: part}, "<>": {Before: []byte("<"), After: []byte(">")}} {
		for _, w.By = range []http.RoundTripper{direct, nil} {
			header, got := w.Write(t.Context(), http.MethodPost, at.JoinPath("/200"), http.Header{}, content)
			if sent := header.Get("X-Sent"); string(got) != want || sent != "POST signed "+strconv.Itoa(len(want)) {
				t.Errorf("%q arrives as %q, %s", want, got, sent)
			}
		}
	}
}

func TestEscapedPathsAreReadAsTheyWere(t *testing.T) {
	for _, path := range []string{"/a/b", "/a b", "/a+b", "/a%2Fb", "/ü/é", "/a?b#c", "/'()*!&=:@$,;", "/~._-", "//a//"} {
		escaped := Escape(path)
		if back, err := url.PathUnescape(escaped); err != nil || back != path || strings.ContainsAny(escaped, " +?#'()*!&=:@$,;ü") {
			t.Errorf("%q is written %q, which is %q: %v", path, escaped, back, err)
		}
	}
}

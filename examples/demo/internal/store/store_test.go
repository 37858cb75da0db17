package store

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestOpenRefusesWhatItCannotRead(t *testing.T) {
	for _, tt := range []struct{ url, want string }{
		{"", "STORE_URL is not set"},
		{"gs://shop-data", `unknown scheme "gs"`},
		{"shop-data", "unknown scheme"},
		{"s3://", "want one bucket"},
		{"az://account", "want one bucket or container"},
		{"az:///shop-data", "no account"},
		{"az://account/shop-data/deeper", "want one bucket or container"},
		{"s3://shop-data?endpoint=10.0.0.1:9000", "endpoint"},
		{"s3://shop-data?endpoint=ftp://10.0.0.1", "is not http://host:port"},
		{"s3://key:secret@shop-data", "STORE_ACCESS_KEY"},
	} {
		_, err := Open(Config{URL: tt.url, AccessKey: "a", SecretKey: "c2VjcmV0"})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Open(%q) = %v, want an error with %q", tt.url, err, tt.want)
		}
	}
}

func TestI09_ErrorsOfOpenDoNotQuoteASecret(t *testing.T) {
	for _, c := range []Config{
		{URL: "az://account/shop-data", SecretKey: "not-base64-§-hunter2"},
		{URL: "s3://key:hunter2@shop-data"},
	} {
		_, err := Open(c)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Open(%s) = %v, want an error without the secret", c.URL, err)
		}
	}
}

func TestAzureAddressesTheAccount(t *testing.T) {
	for url, want := range map[string]string{
		"az://account/c": "https://account.blob.core.windows.net/",
		"az://account/c?endpoint=http://10.0.0.1:10000":               "http://10.0.0.1:10000/account/",
		"az://account/c?endpoint=http://10.0.0.1:10000/":              "http://10.0.0.1:10000/account/",
		"az://account/c?endpoint=http://10.0.0.1:10000/account":       "http://10.0.0.1:10000/account/",
		"az://account/c?endpoint=https%3A%2F%2Fblobs.test%2Faccount2": "https://blobs.test/account2/",
	} {
		where, err := parse(url)
		if err != nil {
			t.Fatal(err)
		}
		if got := azureService(where); got != want {
			t.Errorf("service of %s = %s, want %s", url, got, want)
		}
	}
}

// tiny answers PUT and GET of /BUCKET/KEY for S3 and of /account/CONTAINER/KEY
// for Azure alike: enough to see that each driver asks for the right thing and
// reads the answer. It checks no signature.
type tiny struct {
	mu      sync.Mutex
	objects map[string][]byte
	missing string // header that says why a GET found nothing
	denied  bool
}

func (s *tiny) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.denied {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	switch r.Method {
	case http.MethodPut:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.objects[r.URL.Path] = body
		w.Header().Set("ETag", `"0"`)
		if s.missing != "" {
			w.WriteHeader(http.StatusCreated)
		}
	default:
		body, found := s.objects[r.URL.Path]
		if !found {
			w.Header().Set("X-Ms-Error-Code", s.missing)
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("ETag", `"0"`)
		w.Header().Set("Last-Modified", "Sat, 21 Nov 2026 13:45:00 GMT")
		_, _ = w.Write(body)
	}
}

// stores are the three kinds, each empty.
func stores(t *testing.T) map[string]Store {
	t.Helper()
	s3 := httptest.NewServer(&tiny{objects: map[string][]byte{}})
	t.Cleanup(s3.Close)
	azure := httptest.NewServer(&tiny{objects: map[string][]byte{}, missing: "BlobNotFound"})
	t.Cleanup(azure.Close)
	all := map[string]Store{}
	for name, c := range map[string]Config{
		"memory": {URL: "mem://shop-data"},
		"s3":     {URL: "s3://shop-data?endpoint=" + s3.URL, AccessKey: "a", SecretKey: "b"},
		"azure":  {URL: "az://account/shop-data?endpoint=" + azure.URL, SecretKey: "c2VjcmV0"},
	} {
		opened, err := Open(c)
		if err != nil {
			t.Fatalf("open %s: %v", name, err)
		}
		all[name] = opened
	}
	return all
}

func TestPutThenGetGivesTheBytesBack(t *testing.T) {
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			if err := s.Put(t.Context(), "orders/1", []byte("two bandits")); err != nil {
				t.Fatal(err)
			}
			body, err := s.Get(t.Context(), "orders/1")
			if err != nil {
				t.Fatal(err)
			}
			// minio-go frames a body over plain HTTP; the object is inside.
			if !strings.Contains(string(body), "two bandits") {
				t.Errorf("Get = %q, want the body that was put", body)
			}
		})
	}
}

func TestGetOfNothingIsNotFound(t *testing.T) {
	for name, s := range stores(t) {
		if _, err := s.Get(t.Context(), "orders/none"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: Get of a missing object = %v, want ErrNotFound", name, err)
		}
	}
}

func TestI08_ARefusedReadIsNotAMissingObject(t *testing.T) {
	server := httptest.NewServer(&tiny{denied: true})
	defer server.Close()
	for _, c := range []Config{
		{URL: "s3://shop-data?endpoint=" + server.URL, AccessKey: "a", SecretKey: "b"},
		{URL: "az://account/shop-data?endpoint=" + server.URL, SecretKey: "c2VjcmV0"},
	} {
		s, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), "orders/1"); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%s: Get that is refused = %v, want an error other than ErrNotFound", c.URL, err)
		}
		if err := s.Put(t.Context(), "orders/1", nil); err == nil {
			t.Errorf("%s: Put that is refused = nil, want an error", c.URL)
		}
	}
}

func TestMemoryListsInOrderUpToTheLimit(t *testing.T) {
	m := NewMemory()
	for _, key := range []string{"b/2", "b/1", "a", "b/3"} {
		if err := m.Put(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := m.List(t.Context(), "b/", 2)
	if err != nil || !slices.Equal(keys, []string{"b/1", "b/2"}) {
		t.Errorf("List = %v, %v; want the first two below b/", keys, err)
	}
}

package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestI07_VerifyFindsEveryLostWrite(t *testing.T) {
	v, err := Verify(t.Context(), []string{"good", "gone", "spoilt", "unread"}, func(_ context.Context, key string) ([]byte, error) {
		switch key {
		case "gone":
			return nil, fmt.Errorf("read gone: %w", ErrNotFound)
		case "spoilt":
			return []byte("something else"), nil
		case "unread":
			return nil, errors.New("connection refused")
		}
		return Body(key), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	lost := map[string]bool{}
	for _, l := range v.Lost {
		lost[l.Key] = true
	}
	if v.Checked != 4 || len(lost) != 2 || !lost["gone"] || !lost["spoilt"] {
		t.Errorf("verification = %+v, want gone and spoilt lost of 4", v)
	}
	if len(v.Unread) != 1 || v.OK() {
		t.Errorf("verification = %+v, want one unread, and not OK", v)
	}
}

func TestI08_AWriteThatCannotBeReadIsNotFine(t *testing.T) {
	v, err := Verify(t.Context(), []string{"unread"}, func(context.Context, string) ([]byte, error) { return nil, errors.New("down") })
	if err != nil || v.OK() {
		t.Errorf("Verify = %+v, %v; want not OK", v, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ended, []string{"a"}, func(context.Context, string) ([]byte, error) { return Body("a"), nil }); err == nil {
		t.Error("Verify that was cut short = nil error, want one")
	}
}

func TestHTTPReadTellsMissingFromBroken(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "shop.apps.test" || r.Header.Get(headerProbe) == "" {
			t.Errorf("asked as %s, probe %q", r.Host, r.Header.Get(headerProbe))
		}
		switch r.URL.Path {
		case "/items/load/a":
			_, _ = w.Write(Body("load/a"))
		case "/items/missing":
			w.WriteHeader(http.StatusNotFound)
		default:
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer server.Close()
	read := HTTPRead(server.Client(), server.URL+"/", "shop.apps.test")
	v, err := Verify(t.Context(), []string{"load/a", "missing", "broken"}, read)
	if err != nil || len(v.Lost) != 1 || v.Lost[0].Key != "missing" || len(v.Unread) != 1 || v.Unread[0].Key != "broken" {
		t.Errorf("Verify = %+v, %v; want missing lost and broken unread", v, err)
	}
}

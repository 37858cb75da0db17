package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/examples/demo/internal/web"
)

func TestPageNamesItsSideAndVersion(t *testing.T) {
	app := web.New(web.Options{Name: name, Side: "blue", Version: version})
	server := httptest.NewServer(app.Handler(pages("blue")))
	defer server.Close()

	response, err := http.Get(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || !strings.Contains(string(body), "happy-bandit 1 on blue") {
		t.Errorf("GET / = %s %q, want 200 and a page that names version 1 on blue", response.Status, body)
	}
	if side := response.Header.Get(web.HeaderSide); side != "blue" {
		t.Errorf("X-Side = %q, want blue", side)
	}
}

func TestUnknownPageIsNotFound(t *testing.T) {
	server := httptest.NewServer(web.New(web.Options{}).Handler(pages("blue")))
	defer server.Close()
	response, err := http.Get(server.URL + "/nothing-here")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("GET /nothing-here = %s, want 404", response.Status)
	}
}

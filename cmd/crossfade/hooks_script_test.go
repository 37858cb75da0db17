package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdHooks starts a receiver of webhooks, at $HOOK_URL: hooks SECRET FILE. It takes what is signed with the secret, which it
// sets as $HOOK_SECRET, and writes a line for each event, once; $OTHER_SECRET is another one, with which it refuses. The first message of
// all is answered with 503, as by a receiver that is just starting.
func cmdHooks(ts *testscript.TestScript, _ bool, args []string) {
	r := &receiver{secret: args[0], taken: ts.MkAbs(args[1]), refused: ts.MkAbs("refused"), seen: map[string]bool{}}
	server := httptest.NewServer(r)
	ts.Defer(server.Close)
	ts.Setenv("HOOK_URL", server.URL+"/hook")
	ts.Setenv("HOOK_SECRET", args[0])
	ts.Setenv("OTHER_SECRET", "not "+args[0])
}

type receiver struct {
	secret, taken, refused string

	mu    sync.Mutex
	begun bool
	seen  map[string]bool
}

// ServeHTTP checks a message as docs/waves.md says that a receiver does.
func (r *receiver) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := io.ReadAll(io.LimitReader(in.Body, 1<<20))
	if err != nil || in.Method != http.MethodPost || in.URL.Path != "/hook" {
		http.Error(w, "not a webhook's message", http.StatusBadRequest)
		return
	}
	if !r.begun {
		r.begun = true
		http.Error(w, "not ready yet", http.StatusServiceUnavailable)
		return
	}
	mac := hmac.New(sha256.New, []byte(r.secret))
	_, _ = mac.Write(body) // a hash takes everything
	want := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	if got := in.Header.Get("X-Crossfade-Signature"); !hmac.Equal([]byte(got), []byte(want)) {
		r.write(w, r.refused, "refused: the signature is "+got, http.StatusUnauthorized)
		return
	}
	var m struct {
		Version      int      `json:"version"`
		ID           string   `json:"id"`
		Event        string   `json:"event"`
		Wave         int      `json:"wave"`
		Applications []string `json:"applications"`
	}
	if err := json.Unmarshal(body, &m); err != nil || m.Version != 1 || m.ID == "" ||
		m.ID != in.Header.Get("X-Crossfade-Id") || m.Event != in.Header.Get("X-Crossfade-Event") {
		r.write(w, r.refused, fmt.Sprintf("its headers and its body differ: %v %s", in.Header, body), http.StatusBadRequest)
		return
	}
	if !r.seen[m.ID] {
		r.seen[m.ID] = true
		r.write(w, r.taken, fmt.Sprintf("%s wave %d %s", m.Event, m.Wave, strings.Join(m.Applications, " ")), http.StatusNoContent)
	}
}

func (r *receiver) write(w http.ResponseWriter, path, line string, status int) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(file, line)
		if cerr := file.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.WriteHeader(status)
}

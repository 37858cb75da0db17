// Package gcsfake is a fake: it stands before an emulator of Cloud Storage and gives it what the service documents of uploads that can be gone
// on with, https://cloud.google.com/storage/docs/performing-resumable-uploads. fake-gcs-server takes a question about what it has for the end of
// the object, and keeps bytes that lie behind a gap.
//
//	request ── of a session ──> here: kept in memory, held to the rules; the whole goes to the emulator as one write
//	       └── any other ─────> the emulator
package gcsfake

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
)

// unit is what the length of every chunk but the last is a multiple of.
const unit = 256 << 10

// Server answers at URL until Close.
type Server struct {
	// Keeps says how much of a chunk is kept; nil keeps all. What is kept is rounded down to the unit.
	Keeps func(sent int64) int64
	// Lose says that the answer to a chunk is not sent, though what it tells has happened; nil sends all.
	Lose func(byteRange string) bool

	target  *url.URL
	http    *httptest.Server
	forward *httputil.ReverseProxy

	mu       sync.Mutex
	sessions map[string]*session
	taken    int64
}

type session struct {
	path     string
	query    url.Values
	resource []byte
	typ      string
	kept     []byte
	over     bool // cancelled
	done     *made
}

// made is the emulator's answer to the whole.
type made struct {
	status int
	text   []byte
}

// Start stands before the emulator at a URL.
func Start(emulator string) (*Server, error) {
	target, err := url.Parse(emulator)
	if err != nil {
		return nil, fmt.Errorf("stand before an emulator: %w", err)
	}
	s := &Server{target: target, sessions: map[string]*session{}}
	s.forward = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	s.http = httptest.NewServer(s)
	return s, nil
}

// URL is the endpoint for clients.
func (s *Server) URL() string { return s.http.URL }

// Close ends it.
func (s *Server) Close() { s.http.Close() }

// Taken is how many bytes of sessions have been kept in all.
func (s *Server) Taken() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}

// Open is how many sessions are neither done nor cancelled.
func (s *Server) Open() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.sessions {
		if !one.over && one.done == nil {
			n++
		}
	}
	return n
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if query.Get("uploadType") != "resumable" {
		s.forward.ServeHTTP(w, r)
		return
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.sessions[query.Get("upload_id")]
	switch {
	case r.Method == http.MethodPost && !query.Has("upload_id"):
		s.begin(w, r, query, text)
	case one == nil:
		refuse(w, http.StatusNotFound, "no such session")
	case r.Method == http.MethodDelete:
		one.over = true
		refuse(w, 499, "cancelled")
	case one.over:
		refuse(w, 499, "cancelled")
	case r.Method == http.MethodPut, r.Method == http.MethodPost: // the SDK's method
		s.chunk(w, r, one, text)
	default:
		refuse(w, http.StatusMethodNotAllowed, r.Method)
	}
}

func (s *Server) begin(w http.ResponseWriter, r *http.Request, query url.Values, resource []byte) {
	if !json.Valid(resource) {
		refuse(w, http.StatusBadRequest, "the description is no JSON")
		return
	}
	id := rand.Text()
	s.sessions[id] = &session{path: r.URL.Path, query: query, resource: resource, typ: r.Header.Get("X-Upload-Content-Type")}
	at := url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawQuery: url.Values{"uploadType": {"resumable"}, "name": {query.Get("name")}, "upload_id": {id}}.Encode()}
	w.Header().Set("Location", at.String())
}

// chunk takes bytes, or tells what is there.
func (s *Server) chunk(w http.ResponseWriter, r *http.Request, one *session, sent []byte) {
	byteRange := r.Header.Get("Content-Range")
	first, last, total, asks, err := rangeOf(byteRange)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if !asks && one.done == nil {
		switch n := int64(len(sent)); {
		case last-first+1 != n || last >= total:
			refuse(w, http.StatusBadRequest, fmt.Sprintf("%d bytes are no %s", n, byteRange))
			return
		case last+1 < total && n%unit != 0:
			refuse(w, http.StatusBadRequest, fmt.Sprintf("a chunk of %d bytes is no multiple of %d", n, unit))
			return
		case first != int64(len(one.kept)):
			refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("bytes from %d on, where %d are there", first, len(one.kept)))
			return
		}
		s.keep(one, sent, total)
	}
	if asks && one.done == nil && int64(len(one.kept)) == total {
		one.done = s.make(one) // the length was not known before
	}
	if s.Lose != nil && s.Lose(byteRange) {
		panic(http.ErrAbortHandler)
	}
	if one.done == nil {
		if len(one.kept) > 0 {
			w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(one.kept)-1))
		}
		if r.Header.Get("X-GUploader-No-308") != "" { // the SDK's way around clients that follow redirections
			w.Header().Set("X-Http-Status-Code-Override", "308")
			return
		}
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(one.done.status)
	_, _ = w.Write(one.done.text) // the client may be gone
}

// rangeOf reads a Content-Range. A total that is not known yet is more than any; asks is without bytes.
func rangeOf(header string) (first, last, total int64, asks bool, err error) {
	if _, err := fmt.Sscanf(header, "bytes */%d", &total); err == nil {
		return 0, 0, total, true, nil
	}
	if known, open := strings.CutSuffix(header, "/*"); open {
		header = fmt.Sprintf("%s/%d", known, int64(math.MaxInt64))
	}
	if _, err := fmt.Sscanf(header, "bytes %d-%d/%d", &first, &last, &total); err != nil {
		return 0, 0, 0, false, fmt.Errorf("no range: %s", header)
	}
	return first, last, total, false, nil
}

func (s *Server) keep(one *session, sent []byte, total int64) {
	n := int64(len(sent))
	if s.Keeps != nil {
		if fewer := s.Keeps(n); fewer < n {
			n = fewer / unit * unit
		}
	}
	one.kept = append(one.kept, sent[:n]...)
	if s.taken += n; int64(len(one.kept)) == total {
		one.done = s.make(one)
	}
}

// make writes the whole to the emulator on the session's conditions.
func (s *Server) make(one *session) *made {
	var text bytes.Buffer
	parts := multipart.NewWriter(&text)
	for _, part := range []struct {
		typ     string
		content []byte
	}{{"application/json", one.resource}, {one.typ, one.kept}} {
		header := textproto.MIMEHeader{}
		if part.typ != "" {
			header.Set("Content-Type", part.typ)
		}
		to, err := parts.CreatePart(header)
		if err == nil {
			_, err = to.Write(part.content)
		}
		if err != nil {
			return failed(err)
		}
	}
	if err := parts.Close(); err != nil {
		return failed(err)
	}
	query := maps.Clone(one.query)
	query.Set("uploadType", "multipart")
	u := s.target.JoinPath(one.path)
	u.RawQuery = query.Encode()
	answer, err := http.Post(u.String(), "multipart/related; boundary="+parts.Boundary(), &text) //nolint:noctx // the emulator is on this machine and answers
	if err != nil {
		return failed(err)
	}
	defer func() { _ = answer.Body.Close() }() // only read
	told, err := io.ReadAll(answer.Body)
	if err != nil {
		return failed(err)
	}
	return &made{status: answer.StatusCode, text: told}
}

func failed(err error) *made {
	return &made{status: http.StatusInternalServerError, text: []byte(err.Error())}
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": status, "message": text}}) // the client may be gone
}

package azurefake

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options tune a server. The zero value is an account that tells of itself to everybody.
type Options struct {
	// Secretive refuses Get Account Information, as the service does with tokens of identities that lack the right.
	Secretive bool
	// Versions is an account that keeps versions, which has a flat namespace: no directories, and keys in the order of UTF-16.
	Versions bool
}

// Server is the fake of one account. It may be used by several goroutines.
type Server struct {
	opts   Options
	server *httptest.Server

	mu         sync.Mutex
	containers map[string]*container
	next       int // of tags and times
}

// Account is the name of the fake's account, and Key one of its keys.
const (
	Account = "hierarchical"
	Key     = "a2V5IG9mIHRoZSBmYWtl"
)

// Start starts a server on the loopback interface.
func Start(opts Options) *Server {
	s := &Server{opts: opts, containers: map[string]*container{}}
	s.server = httptest.NewServer(s)
	return s
}

// URL is the server's endpoint, without the account.
func (s *Server) URL() string { return s.server.URL }

// Close ends the server.
func (s *Server) Close() { s.server.Close() }

// Rights are a path's, which the API of blobs shows and does not set. Empty fields are what a new path has.
type Rights struct{ Owner, Group, Permissions, ACL string }

// MakeDirectory makes a directory as the API of Data Lake Storage does, with metadata and rights.
func (s *Server) MakeDirectory(in, path string, metadata map[string]string, rights Rights) error {
	return s.make(in, path, &node{directory: true, header: metadataHeader(metadata), rights: rights})
}

// MakeFile makes a blob as the API of Data Lake Storage does.
func (s *Server) MakeFile(in, path string, body []byte, rights Rights) error {
	return s.make(in, path, &node{body: body, header: http.Header{}, rights: rights, foreign: true})
}

func (s *Server) make(in, path string, n *node) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[in]
	if c == nil {
		return fmt.Errorf("there is no container %s", in)
	}
	if err := s.room(c, path); err != nil {
		return err
	}
	n.etag, n.modified = s.stamp()
	c.set(path, n)
	return nil
}

func metadataHeader(metadata map[string]string) http.Header {
	header := http.Header{}
	for key, text := range metadata {
		header.Set("x-ms-meta-"+key, text)
	}
	return header
}

// stamp is a tag and a time that never come again, for who holds the lock.
func (s *Server) stamp() (etag string, modified time.Time) {
	s.next++
	return fmt.Sprintf("0x8D%012X", s.next), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(s.next) * time.Second)
}

// implied is a directory that comes with a write below it.
func (s *Server) implied() *node {
	n := &node{directory: true, header: http.Header{}}
	n.etag, n.modified = s.stamp()
	return n
}

// answerError is an error as the service writes it.
type answerError struct {
	status  int
	code    string
	message string
}

func (e *answerError) Error() string { return e.code + ": " + e.message }

func fail(status int, code, format string, args ...any) error {
	return &answerError{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// request is one request, taken apart.
type request struct {
	*http.Request
	container, path string
	slash           bool // the name ends with one, which path lacks
	query           url.Values
}

func (s *Server) take(r *http.Request) (request, error) {
	path, err := url.PathUnescape(r.URL.EscapedPath())
	if err != nil {
		return request{}, fail(http.StatusBadRequest, "InvalidUri", "%v", err)
	}
	account, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if account != Account {
		return request{}, fail(http.StatusNotFound, "ResourceNotFound", "no account %q", account)
	}
	in, name, _ := strings.Cut(rest, "/")
	req := request{Request: r, container: in, path: name, query: r.URL.Query()}
	if s.opts.Versions {
		return req, nil
	}
	req.path, req.slash = strings.CutSuffix(name, "/")
	return req, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "azurefake (a fake)")
	w.Header().Set("x-ms-version", r.Header.Get("x-ms-version"))
	req, err := s.take(r)
	if err == nil {
		err = s.answer(w, req)
	}
	if err != nil {
		writeError(w, r, err)
	}
}

func (s *Server) answer(w http.ResponseWriter, r request) error {
	comp, kind := r.query.Get("comp"), r.query.Get("restype")
	switch {
	case kind == "account" && comp == "properties":
		return s.account(w)
	case kind == "service" && comp == "properties":
		return writeXML(w, struct {
			XMLName xml.Name `xml:"StorageServiceProperties"`
		}{})
	case kind == "container":
		return s.onContainer(w, r, comp)
	case r.container == "" || r.path == "":
		return fail(http.StatusBadRequest, "InvalidUri", "no blob is named")
	case comp == "tags":
		return fail(http.StatusBadRequest, "InvalidQueryParameterValue", "comp=tags: a hierarchical namespace has no index tags")
	case r.Method == http.MethodPut:
		return s.put(w, r, comp)
	case r.slash:
		return fail(http.StatusBadRequest, "InvalidUri", "%s of a name that ends with a slash", r.Method)
	case comp == "blocklist":
		return s.listBlocks(w, r)
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		return s.get(w, r)
	case r.Method == http.MethodDelete:
		return s.deleteBlob(w, r)
	}
	return fail(http.StatusMethodNotAllowed, "UnsupportedHttpVerb", "%s %s", r.Method, r.URL)
}

func (s *Server) account(w http.ResponseWriter) error {
	if s.opts.Secretive {
		return fail(http.StatusForbidden, "AuthorizationPermissionMismatch", "no right to know of the account")
	}
	w.Header().Set("x-ms-sku-name", "Standard_LRS")
	w.Header().Set("x-ms-account-kind", "StorageV2")
	w.Header().Set("x-ms-is-hns-enabled", strconv.FormatBool(!s.opts.Versions))
	return nil
}

func (s *Server) onContainer(w http.ResponseWriter, r request, comp string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[r.container]
	switch {
	case r.Method == http.MethodPut && comp == "":
		if c != nil {
			return fail(http.StatusConflict, "ContainerAlreadyExists", "%s", r.container)
		}
		s.containers[r.container] = newContainer(s.opts.Versions)
		w.WriteHeader(http.StatusCreated)
		return nil
	case c == nil:
		return fail(http.StatusNotFound, "ContainerNotFound", "%s", r.container)
	case r.Method == http.MethodPut:
		return nil // metadata and access are taken and not kept: no test of this fake is about them
	case comp == "list":
		return c.list(w, r)
	case comp == "acl":
		return writeXML(w, struct {
			XMLName xml.Name `xml:"SignedIdentifiers"`
		}{})
	case comp == "":
		w.Header().Set("ETag", `"0x1"`)
		w.Header().Set("Last-Modified", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Format(http.TimeFormat))
		w.Header().Set("x-ms-default-encryption-scope", "$account-encryption-key")
		return nil
	}
	return fail(http.StatusBadRequest, "InvalidQueryParameterValue", "comp=%s", comp)
}

func writeXML(w http.ResponseWriter, v any) error {
	raw, err := xml.Marshal(v)
	if err != nil {
		return fail(http.StatusInternalServerError, "InternalError", "%v", err)
	}
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write(append([]byte(xml.Header), raw...)) // the client may be gone
	return nil
}

func writeError(w http.ResponseWriter, r *http.Request, err error) {
	var answer *answerError
	if !errors.As(err, &answer) {
		answer = &answerError{status: http.StatusInternalServerError, code: "InternalError", message: err.Error()}
	}
	w.Header().Set("x-ms-error-code", answer.code)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(answer.status)
	if r.Method == http.MethodHead {
		return
	}
	_ = writeXML(w, struct { // the client may be gone
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: answer.code, Message: answer.message})
}

package s3fake

import (
	"crypto/md5" //nolint:gosec // S3's ETag
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options tune a server. The zero value follows S3.
type Options struct {
	// MinPart is the least size of every part but the last, in bytes; 0 is 5 MiB.
	MinPart int64
	// MaxCopy is the size above which an object is copied in parts only, in bytes; 0 is 5 GiB.
	MaxCopy int64
	// IgnoresMD5 leaves Content-MD5 aside, as a server does that does not know it.
	IgnoresMD5 bool
	// Keys of the key service, and Principals in the form of ARNs, that there are; nil is any.
	Keys, Principals []string
}

// Server is the fake. It may be used by several goroutines.
type Server struct {
	opts   Options
	server *httptest.Server

	mu      sync.Mutex
	buckets map[string]*contents
	uploads map[string]*upload
	faults  []*Fault
	calls   map[Op]int
	next    int // of upload IDs and times
}

// contents is what a bucket holds.
type contents struct {
	objects   map[string]*object
	keys      []string // sorted by bytes; nil after a change
	synthetic *Synthetic
	// configuration has the documents of the bucket's subresources.
	configuration map[string][]byte
}

// object is one object. It is never changed, only replaced.
type object struct {
	body     []byte
	etag     string // without quotes
	modified time.Time
	header   http.Header // as it was given: content headers, metadata, storage class, redirect
	tags     url.Values
	sealed   bool    // with a customer's key
	parts    []int64 // sizes of those that it was made of
}

// Start starts a server on the loopback interface.
func Start(opts Options) *Server {
	if opts.MinPart == 0 {
		opts.MinPart = 5 << 20
	}
	if opts.MaxCopy == 0 {
		opts.MaxCopy = 5 << 30
	}
	s := &Server{opts: opts, buckets: map[string]*contents{}, uploads: map[string]*upload{}, calls: map[Op]int{}}
	s.server = httptest.NewServer(s)
	return s
}

// URL is the server's endpoint.
func (s *Server) URL() string { return s.server.URL }

// Close ends the server.
func (s *Server) Close() { s.server.Close() }

// Calls returns how many requests of a kind there were, those that failed included.
func (s *Server) Calls(op Op) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op]
}

// Unfinished returns how many multipart uploads were begun and neither completed nor aborted.
func (s *Server) Unfinished() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.uploads)
}

// answerError is an error as S3 writes it.
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
	bucket, key string
	query       url.Values
}

func take(r *http.Request) (request, error) {
	path, err := url.PathUnescape(r.URL.EscapedPath())
	if err != nil {
		return request{}, fail(http.StatusBadRequest, "InvalidURI", "%v", err)
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return request{Request: r, bucket: bucket, key: key, query: r.URL.Query()}, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "s3fake (a fake)")
	req, err := take(r)
	if err == nil {
		op := opOf(req)
		fault := s.hit(op, faultKey(req))
		switch {
		case fault.Wait != nil && fault.Wait(r.Context(), faultKey(req)) != nil:
			panic(http.ErrAbortHandler)
		case fault.Reset:
			panic(http.ErrAbortHandler)
		case fault.Status != 0:
			err = &answerError{status: fault.Status, code: fault.Code, message: "broken on purpose"}
			if fault.RetryAfter != "" {
				w.Header().Set("Retry-After", fault.RetryAfter)
			}
		default:
			err = s.answer(w, req, op, fault)
			if fault.Lost {
				panic(http.ErrAbortHandler) // it happened, and nobody is told
			}
		}
	}
	if err != nil {
		writeError(w, r, err)
	}
}

func (s *Server) answer(w http.ResponseWriter, r request, op Op, fault Fault) error {
	switch op {
	case MakeBucket:
		return s.makeBucket(r)
	case HeadBucket:
		_, err := s.contents(r.bucket)
		return err
	case GetConfiguration:
		return s.getConfiguration(w, r)
	case PutConfiguration:
		return s.putConfiguration(r)
	case DeleteConfiguration:
		return s.deleteConfiguration(w, r)
	case List:
		return s.list(w, r, fault)
	case Head, Get:
		return s.get(w, r, op, fault)
	case Put:
		return s.put(w, r)
	case Copy:
		return s.copyObject(w, r, fault)
	case Delete:
		return s.deleteObject(w, r)
	case GetTags:
		return s.getTags(w, r)
	case CreateUpload:
		return s.createUpload(w, r)
	case UploadPart, CopyPart:
		return s.uploadPart(w, r, fault)
	case CompleteUpload:
		return s.completeUpload(w, r)
	case AbortUpload:
		return s.abortUpload(w, r)
	case ListUploads:
		return s.listUploads(w, r)
	case ListParts:
		return s.listParts(w, r)
	}
	return fail(http.StatusNotImplemented, "NotImplemented", "%s %s", r.Method, r.URL)
}

func (s *Server) makeBucket(r request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[r.bucket] != nil {
		return fail(http.StatusConflict, "BucketAlreadyOwnedByYou", "%s", r.bucket)
	}
	b := newBucket()
	if r.Header.Get("x-amz-bucket-object-lock-enabled") == "true" {
		b.configure("object-lock", []byte(`<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>`))
		b.configure("versioning", []byte(`<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`))
	}
	s.buckets[r.bucket] = b
	return nil
}

// contents finds a bucket.
func (s *Server) contents(name string) (*contents, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held(name)
}

// held is contents for who holds the lock.
func (s *Server) held(name string) (*contents, error) {
	b := s.buckets[name]
	if b == nil {
		return nil, fail(http.StatusNotFound, "NoSuchBucket", "%s", name)
	}
	return b, nil
}

// get finds an object, for who holds the lock; nil where there is none.
func (c *contents) get(key string) *object {
	if c.synthetic != nil {
		return c.synthetic.object(key)
	}
	return c.objects[key]
}

func (c *contents) set(key string, o *object) {
	if c.objects[key] == nil {
		c.keys = nil
	}
	c.objects[key] = o
}

func (c *contents) remove(key string) {
	delete(c.objects, key)
	c.keys = nil
}

func (c *contents) sorted() []string {
	if c.keys == nil {
		c.keys = make([]string, 0, len(c.objects))
		for key := range c.objects {
			c.keys = append(c.keys, key)
		}
		slices.Sort(c.keys)
	}
	return c.keys
}

// conditions holds If-Match and If-None-Match against what is there.
func conditions(r request, now *object) error {
	if match := r.Header.Get("If-Match"); match != "" {
		if now == nil {
			return fail(http.StatusNotFound, "NoSuchKey", "If-Match, and there is no %q", r.key)
		}
		if match != "*" && strings.Trim(match, `"`) != now.etag {
			return fail(http.StatusPreconditionFailed, "PreconditionFailed", "If-Match %s, and the ETag is %q", match, now.etag)
		}
	}
	if r.Header.Get("If-None-Match") == "*" && now != nil && r.Method != http.MethodGet && r.Method != http.MethodHead {
		return fail(http.StatusPreconditionFailed, "PreconditionFailed", "If-None-Match *, and there is a %q", r.key)
	}
	return nil
}

func sum(body []byte) string {
	digest := md5.Sum(body) //nolint:gosec // S3's ETag
	return hex.EncodeToString(digest[:])
}

// now is a time that never stands still, so that a replaced object differs from the one before; for who holds the lock.
func (s *Server) now() time.Time {
	s.next++
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(s.next) * time.Second)
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
	answer, ok := err.(*answerError) //nolint:errorlint // the server's own functions return it as it is
	if !ok {
		answer = &answerError{status: http.StatusInternalServerError, code: "InternalError", message: err.Error()}
	}
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

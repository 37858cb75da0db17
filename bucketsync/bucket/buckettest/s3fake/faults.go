package s3fake

import (
	"context"
	"net/http"
)

// Op is a kind of request.
type Op string

// The kinds of requests that the fake knows.
const (
	MakeBucket     Op = "make bucket"
	HeadBucket     Op = "head bucket"
	List           Op = "list"
	Head           Op = "head"
	Get            Op = "get"
	Put            Op = "put"
	Copy           Op = "copy"
	Delete         Op = "delete"
	GetTags        Op = "get tags"
	CreateUpload   Op = "create upload"
	UploadPart     Op = "upload part"
	CompleteUpload Op = "complete upload"
	AbortUpload    Op = "abort upload"
	ListUploads    Op = "list uploads"
	ListParts      Op = "list parts"
	CopyPart       Op = "copy part"
	Unknown        Op = "unknown"
)

func opOf(r request) Op {
	type kind struct {
		method string
		key    bool
	}
	has := r.query.Has
	if op, ok := configurationOp(r); ok {
		return op
	}
	switch (kind{method: r.Method, key: r.key != ""}) {
	case kind{method: http.MethodPut}:
		return MakeBucket
	case kind{method: http.MethodHead}:
		return HeadBucket
	case kind{method: http.MethodGet}:
		switch {
		case has("uploads"):
			return ListUploads
		case has("list-type"):
			return List
		}
	case kind{method: http.MethodHead, key: true}:
		return Head
	case kind{method: http.MethodGet, key: true}:
		if has("tagging") {
			return GetTags
		}
		if has("uploadId") {
			return ListParts
		}
		return Get
	case kind{method: http.MethodPut, key: true}:
		switch {
		case has("uploadId"):
			if r.Header.Get("x-amz-copy-source") != "" {
				return CopyPart
			}
			return UploadPart
		case r.Header.Get("x-amz-copy-source") != "":
			return Copy
		case has("tagging"), has("acl"):
			return Unknown
		}
		return Put
	case kind{method: http.MethodPost, key: true}:
		switch {
		case has("uploads"):
			return CreateUpload
		case has("uploadId"):
			return CompleteUpload
		}
	case kind{method: http.MethodDelete, key: true}:
		if has("uploadId") {
			return AbortUpload
		}
		return Delete
	}
	return Unknown
}

// Order is an order in which no S3 bucket lists, and some other stores do (B1).
type Order int

// Adversarial orders.
const (
	// InOrder is that of UTF-8 bytes.
	InOrder Order = iota
	// UTF16 is the order of UTF-16 code units.
	UTF16
	// FoldersLast puts `a/b` behind `a-b`, as a store that lists folder by folder does.
	FoldersLast
	// Shuffled is no order at all, the same each time.
	Shuffled
)

// Fault is something that goes wrong. The first that hits a request is taken, and no later one counts that request.
type Fault struct {
	Op  Op
	Key string // only requests of this key, or of this subresource of a bucket; empty is any
	// Skip and Times say which requests: so many pass first, then so many are hit; Times 0 is all after those.
	Skip, Times int

	// Status and Code answer with an error: 503 and SlowDown, 412 and PreconditionFailed. RetryAfter is sent with it.
	Status     int
	Code       string
	RetryAfter string
	// Reset breaks the connection before the request is looked at; Lost after it was carried out.
	Reset, Lost bool
	// Cut breaks the connection after so many bytes of the body of a Get or List, 0 is not at all.
	Cut int64
	// Short makes a Get say and send so many bytes less than there are.
	Short int64
	// Flip makes a Copy, or one of a part, change one bit of what it copies.
	Flip bool
	// Torn makes a Get send this behind the first half of the object, in place of what belongs there.
	Torn []byte
	// Order of a List.
	Order Order
	// Hide leaves a key out of a List: an object that is shown late, or one that was deleted meanwhile.
	Hide string
	// Twice makes a List show each object twice, as a page that is sent again does.
	Twice bool
	// Lie makes a List tell each size by so many bytes too large.
	Lie int64
	// Wait is called before the request is looked at: a slow store, or something that happens meanwhile. An error
	// breaks the connection.
	Wait func(ctx context.Context, key string) error

	seen int
}

// Inject adds faults.
func (s *Server) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		s.faults = append(s.faults, &f)
	}
}

// Drop deletes a bucket with all that is in it, whatever it holds.
func (s *Server) Drop(bucket string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.buckets, bucket)
}

// Heal takes all faults away.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// hit counts a request and finds its fault.
func (s *Server) hit(op Op, key string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[op]++
	for _, f := range s.faults {
		if f.Op != op || f.Key != "" && f.Key != key {
			continue
		}
		f.seen++
		if n := f.seen - f.Skip; n > 0 && (f.Times == 0 || n <= f.Times) {
			return *f
		}
	}
	return Fault{}
}

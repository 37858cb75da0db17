package s3fake

import (
	"crypto/md5" //nolint:gosec // Content-MD5
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
)

// maxMetadata is S3's budget of user metadata: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html.
const maxMetadata = 2 << 10

// keptHeaders are the content headers that S3 keeps with an object.
func keptHeaders() []string {
	return []string{
		"Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition", "Cache-Control", "Expires",
		"X-Amz-Website-Redirect-Location", "X-Amz-Storage-Class",
	}
}

// kept are the headers of a request that become the object's.
func kept(r request) (http.Header, error) {
	header := http.Header{}
	for _, name := range append(keptHeaders(), guardHeaders()...) {
		if v := r.Header.Get(name); v != "" {
			header.Set(name, v)
		}
	}
	size := 0
	for name, values := range r.Header {
		if key, ok := strings.CutPrefix(name, "X-Amz-Meta-"); ok {
			header[name] = values
			size += len(key) + len(strings.Join(values, ","))
		}
	}
	if size > maxMetadata {
		return nil, fail(http.StatusBadRequest, "MetadataTooLarge", "%d bytes of user metadata, and %d are allowed", size, maxMetadata)
	}
	return header, nil
}

// body reads a request's body and holds it against its length and Content-MD5.
func (s *Server) body(r request) ([]byte, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil || r.ContentLength >= 0 && int64(len(raw)) != r.ContentLength {
		return nil, fail(http.StatusBadRequest, "IncompleteBody", "%d bytes of %d: %v", len(raw), r.ContentLength, err)
	}
	if want := r.Header.Get("Content-MD5"); want != "" && !s.opts.IgnoresMD5 {
		digest := md5.Sum(raw) //nolint:gosec // Content-MD5
		if base64.StdEncoding.EncodeToString(digest[:]) != want {
			return nil, fail(http.StatusBadRequest, "BadDigest", "the body is not what Content-MD5 says")
		}
	}
	return raw, nil
}

func (s *Server) put(w http.ResponseWriter, r request) error {
	raw, err := s.body(r)
	if err != nil {
		return err
	}
	header, err := kept(r)
	if err != nil {
		return err
	}
	tags, err := url.ParseQuery(r.Header.Get("x-amz-tagging"))
	if err != nil {
		return fail(http.StatusBadRequest, "InvalidTag", "%v", err)
	}
	return s.store(w, r, &object{body: raw, etag: etagOf(raw, header), header: header, tags: tags})
}

// store puts an object in its place, if the request's conditions hold.
func (s *Server) store(w http.ResponseWriter, r request, o *object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.held(r.bucket)
	if err != nil {
		return err
	}
	if len(r.key) > 1024 {
		return fail(http.StatusBadRequest, "KeyTooLongError", "%d bytes", len(r.key))
	}
	if err := conditions(r, b.get(r.key)); err != nil {
		return err
	}
	if err := b.guarded(r, o.header); err != nil {
		return err
	}
	o.modified = s.now()
	b.set(r.key, o)
	w.Header().Set("ETag", `"`+o.etag+`"`)
	return nil
}

// find returns the object that a request names.
func (s *Server) find(bucket, key string) (*object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.held(bucket)
	if err != nil {
		return nil, err
	}
	o := b.get(key)
	if o == nil {
		return nil, fail(http.StatusNotFound, "NoSuchKey", "%q", key)
	}
	return o, nil
}

func (s *Server) get(w http.ResponseWriter, r request, op Op, fault Fault) error {
	o, err := s.find(r.bucket, r.key)
	if err != nil {
		return err
	}
	if err := conditions(r, o); err != nil {
		return err
	}
	if err := o.closed(op); err != nil {
		return err
	}
	content := o.body
	if fault.Torn != nil {
		content = append(append([]byte{}, content[:len(content)/2]...), fault.Torn...)
	}
	spec := r.Header.Get("Range")
	if r.query.Get("partNumber") == "1" && len(o.parts) > 0 {
		spec = fmt.Sprintf("bytes=0-%d", o.parts[0]-1)
	}
	from, to, partial, err := byteRange(spec, int64(len(content)))
	if err != nil {
		return err
	}
	for name, values := range o.header {
		w.Header()[name] = values
	}
	if o.header.Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "binary/octet-stream")
	}
	w.Header().Set("ETag", `"`+o.etag+`"`)
	w.Header().Set("Last-Modified", o.modified.Format(http.TimeFormat))
	w.Header().Set("Accept-Ranges", "bytes")
	if len(o.tags) > 0 {
		w.Header().Set("x-amz-tagging-count", strconv.Itoa(len(o.tags)))
	}
	to = max(from, to-fault.Short)
	w.Header().Set("Content-Length", strconv.FormatInt(to-from, 10))
	if partial {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(content)))
		w.WriteHeader(http.StatusPartialContent)
	}
	if op == Get {
		send(w, content[from:to], fault.Cut)
	}
	return nil
}

// send writes a body, and breaks the connection after cut bytes where cut is not 0.
func send(w http.ResponseWriter, content []byte, cut int64) {
	if cut == 0 || cut >= int64(len(content)) {
		_, _ = w.Write(content) // the client may be gone
		return
	}
	_, _ = w.Write(content[:cut])
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}

// byteRange reads the one form of ranges that clients of S3 send.
func byteRange(header string, size int64) (from, to int64, partial bool, err error) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return 0, size, false, nil
	}
	first, last, _ := strings.Cut(spec, "-")
	if from, err = strconv.ParseInt(first, 10, 64); err != nil || from >= size {
		return 0, 0, false, fail(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "%s of %d bytes", header, size)
	}
	to = size
	if last != "" {
		end, err := strconv.ParseInt(last, 10, 64)
		if err != nil || end < from {
			return 0, 0, false, fail(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "%s of %d bytes", header, size)
		}
		to = min(size, end+1)
	}
	return from, to, true, nil
}

// copySource finds what a request copies.
func (s *Server) copySource(r request) (*object, error) {
	source, err := url.PathUnescape(strings.TrimPrefix(r.Header.Get("x-amz-copy-source"), "/"))
	if err != nil {
		return nil, fail(http.StatusBadRequest, "InvalidArgument", "x-amz-copy-source: %v", err)
	}
	bucket, key, _ := strings.Cut(source, "/")
	from, err := s.find(bucket, key)
	if err != nil {
		return nil, err
	}
	if match := r.Header.Get("x-amz-copy-source-if-match"); match != "" && strings.Trim(match, `"`) != from.etag {
		return nil, fail(http.StatusPreconditionFailed, "PreconditionFailed", "the source's ETag is %q", from.etag)
	}
	return from, nil
}

// copyObject copies within the server. Metadata and tags come along unless REPLACE is said. The copy is of one piece, and its ETag
// the MD5: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html.
func (s *Server) copyObject(w http.ResponseWriter, r request, fault Fault) error {
	from, err := s.copySource(r)
	if err != nil {
		return err
	}
	if int64(len(from.body)) > s.opts.MaxCopy {
		return fail(http.StatusBadRequest, "InvalidRequest", "%d bytes are copied in parts only", len(from.body))
	}
	content := from.body
	if fault.Flip {
		content = append([]byte{content[0] ^ 1}, content[1:]...)
	}
	to := &object{body: content, etag: sum(content), header: from.header, tags: from.tags}
	if r.Header.Get("x-amz-metadata-directive") == "REPLACE" {
		if to.header, err = kept(r); err != nil {
			return err
		}
	}
	if r.Header.Get("x-amz-tagging-directive") == "REPLACE" {
		if to.tags, err = url.ParseQuery(r.Header.Get("x-amz-tagging")); err != nil {
			return fail(http.StatusBadRequest, "InvalidTag", "%v", err)
		}
	}
	if err := s.store(w, r, to); err != nil {
		return err
	}
	return writeXML(w, struct {
		XMLName xml.Name `xml:"CopyObjectResult"`
		ETag    string
	}{ETag: `"` + to.etag + `"`})
}

func (s *Server) deleteObject(w http.ResponseWriter, r request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.held(r.bucket)
	if err != nil {
		return err
	}
	if now := b.get(r.key); now != nil {
		if err := conditions(r, now); err != nil {
			return err
		}
		b.remove(r.key)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type tag struct {
	Key   string
	Value string
}

func (s *Server) getTags(w http.ResponseWriter, r request) error {
	o, err := s.find(r.bucket, r.key)
	if err != nil {
		return err
	}
	var answer struct {
		XMLName xml.Name `xml:"Tagging"`
		TagSet  struct {
			Tag []tag
		}
	}
	for key := range o.tags {
		answer.TagSet.Tag = append(answer.TagSet.Tag, tag{key, o.tags.Get(key)})
	}
	sort.Slice(answer.TagSet.Tag, func(i, k int) bool { return answer.TagSet.Tag[i].Key < answer.TagSet.Tag[k].Key })
	return writeXML(w, answer)
}

package s3fake

import (
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// upload is a multipart upload under way.
type upload struct {
	bucket, key string
	header      http.Header
	tags        url.Values
	parts       map[int][]byte
	begun       time.Time // by the machine's clock: clients compare it with theirs
}

func (s *Server) createUpload(w http.ResponseWriter, r request) error {
	header, err := kept(r)
	if err != nil {
		return err
	}
	tags, err := url.ParseQuery(r.Header.Get("x-amz-tagging"))
	if err != nil {
		return fail(http.StatusBadRequest, "InvalidTag", "%v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.held(r.bucket); err != nil {
		return err
	}
	s.next++
	id := fmt.Sprintf("upload-%06d", s.next)
	s.uploads[id] = &upload{bucket: r.bucket, key: r.key, header: header, tags: tags, parts: map[int][]byte{}, begun: time.Now()}
	return writeXML(w, struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		Bucket   string
		Key      string
		UploadId string //nolint:revive // S3's own word
	}{Bucket: r.bucket, Key: r.key, UploadId: id})
}

// under finds the upload that a request names, for who holds the lock.
func (s *Server) under(r request) (*upload, error) {
	u := s.uploads[r.query.Get("uploadId")]
	if u == nil || u.bucket != r.bucket || u.key != r.key {
		return nil, fail(http.StatusNotFound, "NoSuchUpload", "%s", r.query.Get("uploadId"))
	}
	return u, nil
}

func (s *Server) uploadPart(w http.ResponseWriter, r request, fault Fault) error {
	number, err := strconv.Atoi(r.query.Get("partNumber"))
	if err != nil || number < 1 || number > 10_000 {
		return fail(http.StatusBadRequest, "InvalidArgument", "part number %q", r.query.Get("partNumber"))
	}
	copies := r.Header.Get("x-amz-copy-source") != ""
	var raw []byte
	if copies {
		raw, err = s.copiedRange(r)
	} else {
		raw, err = s.body(r)
	}
	if err != nil {
		return err
	}
	if fault.Flip && len(raw) > 0 {
		raw = append([]byte{raw[0] ^ 1}, raw[1:]...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.under(r)
	if err != nil {
		return err
	}
	u.parts[number] = raw
	if copies {
		return writeXML(w, struct {
			XMLName xml.Name `xml:"CopyPartResult"`
			ETag    string
		}{ETag: `"` + sum(raw) + `"`})
	}
	w.Header().Set("ETag", `"`+sum(raw)+`"`)
	return nil
}

// copiedRange is what a part takes over from another object: bytes alone, nothing of its metadata and tags.
func (s *Server) copiedRange(r request) ([]byte, error) {
	from, err := s.copySource(r)
	if err != nil {
		return nil, err
	}
	first, end, _, err := byteRange(r.Header.Get("x-amz-copy-source-range"), int64(len(from.body)))
	if err != nil {
		return nil, err
	}
	return slices.Clone(from.body[first:end]), nil
}

// completeUpload joins the parts that the client names, in their order. Its ETag is that of S3: the MD5 of the parts'
// MD5s, and how many there are.
func (s *Server) completeUpload(w http.ResponseWriter, r request) error {
	var asked struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	raw, err := io.ReadAll(r.Body)
	if err == nil {
		err = xml.Unmarshal(raw, &asked)
	}
	if err != nil {
		return fail(http.StatusBadRequest, "MalformedXML", "%v", err)
	}
	o, err := s.join(r, len(asked.Part), func(i int) (int, string) {
		return asked.Part[i].PartNumber, strings.Trim(asked.Part[i].ETag, `"`)
	})
	if err != nil {
		return err
	}
	if err := s.store(w, r, o); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.uploads, r.query.Get("uploadId"))
	s.mu.Unlock()
	return writeXML(w, struct {
		XMLName xml.Name `xml:"CompleteMultipartUploadResult"`
		Bucket  string
		Key     string
		ETag    string
	}{Bucket: r.bucket, Key: r.key, ETag: `"` + o.etag + `"`})
}

func (s *Server) join(r request, count int, part func(i int) (number int, etag string)) (*object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.under(r)
	if err != nil {
		return nil, err
	}
	o := &object{header: u.header, tags: u.tags}
	var digests []byte
	last := 0
	for i := range count {
		number, etag := part(i)
		content, ok := u.parts[number]
		switch {
		case number <= last:
			return nil, fail(http.StatusBadRequest, "InvalidPartOrder", "part %d after part %d", number, last)
		case !ok || sum(content) != etag:
			return nil, fail(http.StatusBadRequest, "InvalidPart", "part %d", number)
		case i < count-1 && int64(len(content)) < s.opts.MinPart:
			return nil, fail(http.StatusBadRequest, "EntityTooSmall", "part %d has %d bytes", number, len(content))
		}
		digest, err := hex.DecodeString(etag)
		if err != nil {
			return nil, fail(http.StatusBadRequest, "InvalidPart", "part %d: %v", number, err)
		}
		last, digests, o.body = number, append(digests, digest...), append(o.body, content...)
		o.parts = append(o.parts, int64(len(content)))
	}
	o.etag = fmt.Sprintf("%s-%d", sum(digests), count)
	return o, nil
}

func (s *Server) abortUpload(w http.ResponseWriter, r request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.under(r); err != nil {
		return err
	}
	delete(s.uploads, r.query.Get("uploadId"))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) listUploads(w http.ResponseWriter, r request) error {
	type one struct {
		Key       string
		UploadId  string //nolint:revive // S3's own word
		Initiated string
	}
	var answer struct {
		XMLName xml.Name `xml:"ListMultipartUploadsResult"`
		Bucket  string
		Upload  []one
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answer.Bucket = r.bucket
	for id, u := range s.uploads {
		if u.bucket == r.bucket && strings.HasPrefix(u.key, r.query.Get("prefix")) {
			answer.Upload = append(answer.Upload, one{u.key, id, u.begun.UTC().Format(time.RFC3339Nano)})
		}
	}
	slices.SortFunc(answer.Upload, func(a, b one) int { return strings.Compare(a.Key+a.UploadId, b.Key+b.UploadId) })
	return writeXML(w, answer)
}

// listParts lists them a page at a time.
func (s *Server) listParts(w http.ResponseWriter, r request) error {
	type one struct {
		PartNumber int
		ETag       string
		Size       int
	}
	var answer struct {
		XMLName              xml.Name `xml:"ListPartsResult"`
		Bucket               string
		Key                  string
		UploadId             string //nolint:revive // S3's own word
		IsTruncated          bool
		NextPartNumberMarker int
		Part                 []one
	}
	after, most := 0, 1000
	for name, n := range map[string]*int{"part-number-marker": &after, "max-parts": &most} {
		if text := r.query.Get(name); text != "" {
			var err error
			if *n, err = strconv.Atoi(text); err != nil {
				return fail(http.StatusBadRequest, "InvalidArgument", "%s %q", name, text)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.under(r)
	if err != nil {
		return err
	}
	answer.Bucket, answer.Key, answer.UploadId = r.bucket, r.key, r.query.Get("uploadId")
	for _, number := range slices.Sorted(maps.Keys(u.parts)) {
		if number <= after {
			continue
		}
		if len(answer.Part) == most {
			answer.IsTruncated = true
			break
		}
		answer.Part = append(answer.Part, one{number, `"` + sum(u.parts[number]) + `"`, len(u.parts[number])})
		answer.NextPartNumberMarker = number
	}
	return writeXML(w, answer)
}

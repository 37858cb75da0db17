package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
)

// recorder is a fake of a server: it remembers requests and answers what a test says.
type recorder struct {
	mu       sync.Mutex
	requests []*http.Request
	answer   func(w http.ResponseWriter, r *http.Request)
}

func (s *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // a client that gave up is the test's business
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	if r.Method == http.MethodPost && r.URL.Query().Has("uploads") {
		_, _ = io.WriteString(w, `<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>`)
		return
	}
	s.answer(w, r)
}

func (s *recorder) find(match func(*http.Request) bool) []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.requests), func(r *http.Request) bool { return !match(r) })
}

func (s *recorder) open(t *testing.T) *Bucket {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	b, err := Open(t.Context(), Options{
		Bucket: "test", Endpoint: server.URL, Attempts: 1, PartSize: minPart, Credentials: Credentials{AccessKey: "key", SecretKey: "secret"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func accept(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"0123456789abcdef0123456789abcdef"`)
	if r.Method == http.MethodPost {
		_, _ = io.WriteString(w, `<CompleteMultipartUploadResult><ETag>"x-2"</ETag></CompleteMultipartUploadResult>`)
	}
}

func TestB07_NoChecksumsThatOtherServersRefuse(t *testing.T) {
	server := &recorder{answer: accept}
	b := server.open(t)
	for _, size := range []int64{10, minPart + 1} {
		if _, err := b.Put(t.Context(), "key", bytes.NewReader(make([]byte, size)), size, bucket.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	bodies := server.find(func(r *http.Request) bool { return r.Method == http.MethodPut })
	if len(bodies) != 3 {
		t.Fatalf("%d bodies were sent, want 3", len(bodies))
	}
	for _, r := range server.find(func(*http.Request) bool { return true }) {
		for name, values := range r.Header {
			low := strings.ToLower(name)
			if strings.HasPrefix(low, "x-amz-checksum") || low == "x-amz-trailer" || low == "x-amz-sdk-checksum-algorithm" || slices.Contains(values, "aws-chunked") {
				t.Errorf("%s %s carries %s: %s", r.Method, r.URL, name, values)
			}
		}
	}
	for _, r := range bodies {
		if r.Header.Get("Content-MD5") == "" || len(r.TransferEncoding) > 0 {
			t.Errorf("a body is sent without its MD5 or its length: %v", r.Header)
		}
	}
}

func TestB15_UnfinishedUploadsAreAborted(t *testing.T) {
	for name, broken := range map[string]func(w http.ResponseWriter, r *http.Request, cancel func()){
		"part refused": func(w http.ResponseWriter, r *http.Request, _ func()) {
			if r.Method == http.MethodPut {
				http.Error(w, "", http.StatusBadRequest)
				return
			}
			accept(w, r)
		},
		"condition not met": func(w http.ResponseWriter, r *http.Request, _ func()) {
			if r.Method == http.MethodPost {
				http.Error(w, "", http.StatusPreconditionFailed)
				return
			}
			accept(w, r)
		},
		"context ends": func(w http.ResponseWriter, r *http.Request, cancel func()) {
			if r.Method == http.MethodPut {
				cancel()
			}
			accept(w, r)
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		server := &recorder{answer: func(w http.ResponseWriter, r *http.Request) { broken(w, r, cancel) }}
		_, err := server.open(t).Put(ctx, "key", bytes.NewReader(make([]byte, 3*minPart)), 3*minPart, bucket.PutOptions{IfAbsent: true})
		cancel()
		if err == nil {
			t.Errorf("%s: the upload is acknowledged", name)
		}
		aborts := server.find(func(r *http.Request) bool {
			return r.Method == http.MethodDelete && r.URL.Query().Get("uploadId") == "u1"
		})
		if len(aborts) != 1 {
			t.Errorf("%s: the upload was aborted %d times", name, len(aborts))
		}
		if name == "condition not met" && !errors.Is(err, bucket.ErrPrecondition) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A server that knows no conditions or no ranges answers with what was not asked for.
func TestB04_AServerWithoutConditionsIsNoticed(t *testing.T) {
	server := &recorder{answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"two"`)
		_, _ = io.WriteString(w, "the whole object")
	}}
	b := server.open(t)
	for name, c := range map[string]struct {
		opts bucket.ReadOptions
		want error
	}{
		"condition ignored": {bucket.ReadOptions{Pin: bucket.Object{ETag: "one"}}, bucket.ErrPrecondition},
		"range ignored":     {bucket.ReadOptions{Offset: 3, Length: 2}, body.ErrLength},
	} {
		if _, _, err := b.Open(t.Context(), "key", c.opts); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	reads := server.find(func(r *http.Request) bool { return r.Header.Get("If-Match") == `"one"` })
	if len(reads) != 1 {
		t.Errorf("%d reads carried the pin", len(reads))
	}
}

func TestB02_OnlySomeETagsAreMD5(t *testing.T) {
	const sum = "0123456789abcdef0123456789abcdef"
	plain := &Bucket{opts: Options{Bucket: "shop"}}
	express := &Bucket{opts: Options{Bucket: "shop--use1-az4--x-s3"}}
	for name, c := range map[string]struct {
		b    *Bucket
		head s3.HeadObjectOutput
		want []bucket.Digest
	}{
		"one piece":         {plain, s3.HeadObjectOutput{}, []bucket.Digest{{Algorithm: bucket.MD5, Value: sum}}},
		"S3's own key":      {plain, s3.HeadObjectOutput{ServerSideEncryption: types.ServerSideEncryptionAes256}, []bucket.Digest{{Algorithm: bucket.MD5, Value: sum}}},
		"many parts":        {plain, s3.HeadObjectOutput{ETag: aws.String(`"` + sum + `-2"`)}, nil},
		"key of a service":  {plain, s3.HeadObjectOutput{ServerSideEncryption: types.ServerSideEncryptionAwsKms}, nil},
		"key of two layers": {plain, s3.HeadObjectOutput{ServerSideEncryption: types.ServerSideEncryptionAwsKmsDsse}, nil},
		"customer's key":    {plain, s3.HeadObjectOutput{SSECustomerAlgorithm: aws.String("AES256")}, nil},
		"S3 Express":        {express, s3.HeadObjectOutput{}, nil},
		"checksum of the whole": {plain, s3.HeadObjectOutput{ETag: aws.String(`"x-2"`), ChecksumCRC32C: aws.String("AAAAAQ=="), ChecksumType: types.ChecksumTypeFullObject},
			[]bucket.Digest{{Algorithm: bucket.CRC32C, Value: "00000001"}}},
		"checksum of checksums": {plain, s3.HeadObjectOutput{ETag: aws.String(`"x-2"`), ChecksumCRC32C: aws.String("AAAAAQ=="), ChecksumType: types.ChecksumTypeComposite}, nil},
		"checksum of a kind":    {plain, s3.HeadObjectOutput{ETag: aws.String(`"x-2"`), ChecksumSHA256: aws.String("AAAAAQ==")}, nil},
	} {
		if c.head.ETag == nil {
			c.head.ETag = aws.String(`"` + sum + `"`)
		}
		if got := c.b.digests(&c.head); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestB14_ARequestToSlowDownIsKnown(t *testing.T) {
	answer := &smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusServiceUnavailable}}
	slow := fmt.Errorf("put: %w", &smithyhttp.ResponseError{Response: answer, Err: errors.New("slow down")})
	if got, err := newRetryer(3).RetryDelay(1, slow); err != nil || got > 2*time.Second {
		t.Errorf("it waits %s, %v", got, err)
	}
	if !errors.Is(kind(slow), bucket.ErrSlowDown) {
		t.Error("503 is not known as a request to slow down")
	}
	for _, code := range []string{"SlowDown", "RequestLimitExceeded", "TooManyRequests", "ThrottlingException"} {
		if !errors.Is(kind(&smithy.GenericAPIError{Code: code}), bucket.ErrSlowDown) {
			t.Errorf("%s is not known as a request to slow down", code)
		}
	}
}

func TestI05_PropertiesThatNoFieldHoldsAreSeen(t *testing.T) {
	when := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	p := properties(&s3.HeadObjectOutput{
		ExpiresString: aws.String("0"), ServerSideEncryption: types.ServerSideEncryptionAwsKmsDsse, SSEKMSKeyId: aws.String("arn:key"),
		ObjectLockMode: types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: &when, MissingMeta: aws.Int32(2), ContentEncoding: aws.String("aws-chunked,gzip"),
	})
	for _, name := range []string{"Expires", "x-amz-server-side-encryption", "x-amz-missing-meta"} {
		if p.Other[name] == "" {
			t.Errorf("%s is lost: %v", name, p.Other)
		}
	}
	if want := (bucket.Lock{Mode: bucket.Governance, Until: when}); p.Lock != want || p.Encryption != (bucket.Encryption{Kind: bucket.ByService, Key: "arn:key"}) {
		t.Errorf("got %+v and %+v", p.Lock, p.Encryption)
	}
	if p.ContentEncoding != "gzip" || !p.Expires.IsZero() {
		t.Errorf("got %+v", p)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, opts := range map[string]Options{
		"no bucket": {}, "no scheme": {Bucket: "b", Endpoint: "10.0.0.1:7070"}, "half a key": {Bucket: "b", Credentials: Credentials{AccessKey: "x"}},
	} {
		if _, err := Open(t.Context(), opts); err == nil {
			t.Errorf("%s: passes", name)
		}
	}
}

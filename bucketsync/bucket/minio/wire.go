package minio

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/throttle"
)

// wire makes the two requests of which a copy has one for each object, a read and a write of it whole, without the SDK: that prepares
// and signs them at several times the cost. It knows success only. Whatever else comes of a request, the SDK makes it again and
// says what it means, and tries again what may pass.
type wire struct {
	throttle    *throttle.Transport
	direct      http.RoundTripper
	credentials *credentials.Credentials
	endpoint    *url.URL
	bucket      string
	region      string
	key         atomic.Pointer[signingKey]
}

// signingKey signs the requests of one day: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
type signingKey struct {
	day, secret string
	key         []byte
}

const unsignedPayload = "UNSIGNED-PAYLOAD"

// get asks for an object. Nil says to ask by the SDK.
func (w *wire) get(ctx context.Context, key string, header http.Header) *http.Response {
	request := w.request(ctx, http.MethodGet, key, header)
	return w.do(request)
}

// put writes an object in one piece and returns the answer's headers. Nil says to do it by the SDK.
func (w *wire) put(ctx context.Context, key string, part body.Part, header http.Header) http.Header {
	request := w.request(ctx, http.MethodPut, key, header)
	request.ContentLength, request.Body = int64(len(part.Data)), http.NoBody
	if len(part.Data) > 0 {
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(part.Reader()), nil }
		request.Body = io.NopCloser(part.Reader())
	}
	answer := w.do(request)
	if answer == nil {
		return nil
	}
	defer func() { _ = answer.Body.Close() }() // only read
	drain(answer.Body)
	return answer.Header
}

func (w *wire) request(ctx context.Context, method, key string, header http.Header) *http.Request {
	path := "/" + w.bucket + "/" + key
	u := &url.URL{Scheme: w.endpoint.Scheme, Host: w.endpoint.Host, Path: path, RawPath: escape(path)}
	request := &http.Request{Method: method, URL: u, Host: u.Host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	return request.WithContext(ctx)
}

func (w *wire) do(request *http.Request) *http.Response {
	if !w.sign(request, time.Now().UTC()) {
		return nil
	}
	answer, err := w.throttle.Through(w.direct, request)
	if err != nil {
		return nil
	}
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusPartialContent {
		drain(answer.Body)
		_ = answer.Body.Close() // only read
		return nil
	}
	return answer
}

// drain reads what is left of a small answer, so that its connection can be used again.
func drain(answer io.Reader) { _, _ = io.Copy(io.Discard, io.LimitReader(answer, 64<<10)) }

// sign signs all headers. It leaves the payload out: what is written has its MD5 among the headers. False says that the credentials
// are not to be had, or are for another kind of signature.
func (w *wire) sign(request *http.Request, now time.Time) bool {
	value, err := w.credentials.GetWithContext(&credentials.CredContext{Context: request.Context()})
	if err != nil || value.SignerType.IsV2() {
		return false
	}
	if value.SignerType.IsAnonymous() || value.AccessKeyID == "" {
		return true
	}
	stamp := now.Format("20060102T150405Z")
	day := stamp[:8]
	header := request.Header
	header["X-Amz-Date"] = []string{stamp}
	header["X-Amz-Content-Sha256"] = []string{unsignedPayload}
	if value.SessionToken != "" {
		header["X-Amz-Security-Token"] = []string{value.SessionToken}
	}
	canonical, signed := canonicalRequest(request)
	hash := sha256.Sum256(canonical)
	scope := day + "/" + w.region + "/s3/aws4_request"
	mac := hmac.New(sha256.New, w.signing(day, value.SecretAccessKey))
	_, _ = io.WriteString(mac, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hex.EncodeToString(hash[:]))
	header["Authorization"] = []string{"AWS4-HMAC-SHA256 Credential=" + value.AccessKeyID + "/" + scope + ", SignedHeaders=" + signed +
		", Signature=" + hex.EncodeToString(mac.Sum(nil))}
	return true
}

// signing is the key of a day.
func (w *wire) signing(day, secret string) []byte {
	if k := w.key.Load(); k != nil && k.day == day && k.secret == secret {
		return k.key
	}
	key := []byte("AWS4" + secret)
	for _, text := range []string{day, w.region, "s3", "aws4_request"} {
		mac := hmac.New(sha256.New, key)
		_, _ = io.WriteString(mac, text) // a hash takes every write
		key = mac.Sum(nil)
	}
	w.key.Store(&signingKey{day: day, secret: secret, key: key})
	return key
}

// canonicalRequest is what is signed, and the names of the headers in it.
func canonicalRequest(request *http.Request) (canonical []byte, signed string) {
	type field struct{ name, value string }
	fields := make([]field, 0, len(request.Header)+1)
	fields = append(fields, field{"host", request.URL.Host})
	size := 0
	for name, values := range request.Header {
		value := strings.Join(strings.Fields(strings.Join(values, ",")), " ")
		fields = append(fields, field{strings.ToLower(name), value})
		size += 2*len(name) + len(value) + 3
	}
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	var names strings.Builder
	names.Grow(size)
	canonical = make([]byte, 0, size+len(request.URL.RawPath)+256)
	canonical = append(canonical, request.Method...)
	canonical = append(canonical, '\n')
	canonical = append(canonical, request.URL.RawPath...)
	canonical = append(canonical, "\n\n"...) // no query
	for i, f := range fields {
		canonical = append(canonical, f.name...)
		canonical = append(canonical, ':')
		canonical = append(canonical, f.value...)
		canonical = append(canonical, '\n')
		if i > 0 {
			names.WriteByte(';')
		}
		names.WriteString(f.name)
	}
	signed = names.String()
	canonical = append(canonical, '\n')
	canonical = append(canonical, signed...)
	canonical = append(canonical, '\n')
	return append(canonical, unsignedPayload...), signed
}

// escape writes every byte but those that signatures leave as they are as %XX, slashes excepted.
func escape(path string) string {
	const digits = "0123456789ABCDEF"
	plain := func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~' || c == '/'
	}
	odd := 0
	for i := range len(path) {
		if !plain(path[i]) {
			odd++
		}
	}
	if odd == 0 {
		return path
	}
	out := make([]byte, 0, len(path)+2*odd)
	for i := range len(path) {
		if c := path[i]; plain(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(out)
}

package minio

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/hot"
)

// wire makes the requests that carry bytes past the SDK: the read and the write of a whole object, of which a copy has one for each, and the
// write of a part.
type wire struct {
	hot         hot.Wire
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
	return w.hot.Get(ctx, w.url(key), header)
}

// put writes an object in one piece and returns the answer's headers. Nil says to do it by the SDK.
func (w *wire) put(ctx context.Context, key string, part body.Part, header http.Header) http.Header {
	answer, _ := w.hot.Write(ctx, http.MethodPut, w.url(key), header, hot.Body{Part: part})
	return answer
}

// putPart writes a part of an upload and returns the answer's headers. Nil says to do it by the SDK.
func (w *wire) putPart(ctx context.Context, key, upload string, part body.Part, header http.Header) http.Header {
	u := w.url(key)
	u.RawQuery = fmt.Sprintf("partNumber=%d&uploadId=%s", part.Number, url.QueryEscape(upload)) // in the order in which it is signed
	answer, _ := w.hot.Write(ctx, http.MethodPut, u, header, hot.Body{Part: part})
	return answer
}

func (w *wire) url(key string) *url.URL {
	path := "/" + w.bucket + "/" + key
	return &url.URL{Scheme: w.endpoint.Scheme, Host: w.endpoint.Host, Path: path, RawPath: hot.Escape(path)}
}

// sign signs all headers. It leaves the payload out: what is written has its MD5 among the headers. False says that the credentials
// are not to be had, or are for another kind of signature.
func (w *wire) sign(request *http.Request) bool {
	value, err := w.credentials.GetWithContext(&credentials.CredContext{Context: request.Context()})
	if err != nil || value.SignerType.IsV2() {
		return false
	}
	if value.SignerType.IsAnonymous() || value.AccessKeyID == "" {
		return true
	}
	stamp := time.Now().UTC().Format("20060102T150405Z")
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
	canonical = make([]byte, 0, size+len(request.URL.RawPath)+len(request.URL.RawQuery)+256)
	canonical = append(canonical, request.Method...)
	canonical = append(canonical, '\n')
	canonical = append(canonical, request.URL.RawPath...)
	canonical = append(canonical, '\n')
	canonical = append(canonical, request.URL.RawQuery...)
	canonical = append(canonical, '\n')
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

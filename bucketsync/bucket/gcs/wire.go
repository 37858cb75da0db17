package gcs

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"cloud.google.com/go/storage"
	raw "google.golang.org/api/storage/v1"

	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/hot"
)

// wire makes the write of a whole object past the SDK: https://cloud.google.com/storage/docs/uploading-objects#multipart-upload-json.
// Its credentials are the SDK's, whose transport carries it.
type wire struct {
	hot    hot.Wire
	bucket string
	// uploads is the URL to which the SDK sends uploads, which depends on the environment and on credentials too. The first write
	// goes by the SDK and tells it.
	uploads atomic.Pointer[url.URL]
}

// learn takes the URL of uploads from a request of the SDK.
func (w *wire) learn(request *http.Request) {
	if w.uploads.Load() != nil || request.Method != http.MethodPost || request.URL.Query().Get("uploadType") == "" {
		return
	}
	to := *request.URL
	to.RawQuery = ""
	w.uploads.Store(&to)
}

// fork sends what was made past the SDK one way, and all else the other. It is below the transport that adds the credentials.
type fork struct{ lean, plain http.RoundTripper }

// lean marks the context of a request that was made past the SDK.
type lean struct{}

// RoundTrip implements http.RoundTripper.
func (f fork) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Context().Value(lean{}) != nil {
		return f.lean.RoundTrip(request)
	}
	return f.plain.RoundTrip(request)
}

// put writes an object in one piece and returns what is told of it. Nil says to do it by the SDK.
func (w *wire) put(ctx context.Context, attrs *storage.ObjectAttrs, match *storage.Conditions, part body.Part) *storage.ObjectAttrs {
	to := w.uploads.Load()
	if to == nil {
		return nil
	}
	query := url.Values{
		"alt": {"json"}, "name": {attrs.Name}, "prettyPrint": {"false"}, "uploadType": {"multipart"},
		"fields": {"name,size,generation,metageneration,updated,storageClass,md5Hash,crc32c"},
	}
	if !condition(query, match) {
		return nil
	}
	if attrs.KMSKeyName != "" {
		query.Set("kmsKeyName", attrs.KMSKeyName)
	}
	u := *to
	u.RawQuery = query.Encode()
	resource, err := json.Marshal(resourceOf(attrs, w.bucket))
	if err != nil {
		return nil
	}
	boundary := rand.Text() // which no content holds but by guessing
	content := hot.Body{Before: preamble(boundary, resource, attrs.ContentType), Part: part, After: []byte("\r\n--" + boundary + "--\r\n")}
	header := http.Header{"Content-Type": {"multipart/related; boundary=" + boundary}}
	_, answer := w.hot.Write(context.WithValue(ctx, lean{}, true), http.MethodPost, &u, header, content)
	return told(answer)
}

// condition adds that of a write. False says that there is none in what should be one.
func condition(query url.Values, match *storage.Conditions) bool {
	switch {
	case match == nil:
	case match.DoesNotExist:
		query.Set("ifGenerationMatch", "0")
	case match.GenerationMatch > 0 && match.MetagenerationMatch > 0:
		query.Set("ifGenerationMatch", strconv.FormatInt(match.GenerationMatch, 10))
		query.Set("ifMetagenerationMatch", strconv.FormatInt(match.MetagenerationMatch, 10))
	default:
		return false
	}
	return true
}

// resourceOf is an object's description as the SDK sends it.
func resourceOf(attrs *storage.ObjectAttrs, bucket string) *raw.Object {
	resource := &raw.Object{
		Bucket: bucket, Name: attrs.Name, ContentType: attrs.ContentType, ContentEncoding: attrs.ContentEncoding, ContentLanguage: attrs.ContentLanguage,
		ContentDisposition: attrs.ContentDisposition, CacheControl: attrs.CacheControl, Metadata: attrs.Metadata, StorageClass: attrs.StorageClass,
		TemporaryHold: attrs.TemporaryHold, EventBasedHold: attrs.EventBasedHold, Md5Hash: base64.StdEncoding.EncodeToString(attrs.MD5),
	}
	if r := attrs.Retention; r != nil {
		resource.Retention = &raw.ObjectRetention{Mode: r.Mode, RetainUntilTime: r.RetainUntil.Format(time.RFC3339)}
	}
	return resource
}

// preamble is what a body of several parts has before the content.
func preamble(boundary string, resource []byte, contentType string) []byte {
	text := make([]byte, 0, len(resource)+len(contentType)+256)
	text = append(text, "--"+boundary+"\r\nContent-Type: application/json\r\n\r\n"...)
	text = append(text, resource...)
	text = append(text, "\r\n--"+boundary+"\r\n"...)
	if contentType != "" {
		text = append(text, "Content-Type: "+contentType+"\r\n"...)
	}
	return append(text, "\r\n"...)
}

// told reads the answer to a write. Nil says that it is none.
func told(answer []byte) *storage.ObjectAttrs {
	var object raw.Object
	if answer == nil || json.Unmarshal(answer, &object) != nil || object.Generation == 0 {
		return nil
	}
	attrs := &storage.ObjectAttrs{
		Name: object.Name, Size: int64(object.Size), Generation: object.Generation, Metageneration: object.Metageneration, StorageClass: object.StorageClass,
	}
	attrs.Updated, _ = time.Parse(time.RFC3339, object.Updated) // nobody goes by it
	attrs.MD5, _ = base64.StdEncoding.DecodeString(object.Md5Hash)
	if sum, err := base64.StdEncoding.DecodeString(object.Crc32c); err == nil && len(sum) == 4 {
		attrs.CRC32C = binary.BigEndian.Uint32(sum)
	}
	return attrs
}

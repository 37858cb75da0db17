package azure

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/hot"
)

// wire makes the read of a blob and the write of a whole one past the SDK.
type wire struct {
	hot     hot.Wire
	account string
	base    *url.URL // the container's; its query is a SAS
	// One of these, or none.
	key    []byte
	tokens *tokens
}

// apiVersion is the one that the SDK speaks.
const apiVersion = "2026-12-06"

// aim points the wire at a container, of which the SDK knows the URL.
func (w *wire) aim(container string, c Credentials) error {
	base, err := url.Parse(container)
	if err != nil {
		return fmt.Errorf("read the container's URL: %w", err)
	}
	base.RawQuery = strings.ReplaceAll(base.Query().Encode(), "+", "%20") // as the SDK writes it
	if w.key, err = base64.StdEncoding.DecodeString(c.AccountKey); err != nil {
		return errKey
	}
	w.base, w.hot.Sign = base, w.sign
	return nil
}

// put writes a blob in one piece and returns the answer's headers. Nil says to do it by the SDK.
func (w *wire) put(ctx context.Context, key string, part body.Part, query *blockblob.UploadOptions) http.Header {
	answer, _ := w.hot.Write(ctx, http.MethodPut, w.url(key), putHeaders(query), hot.Body{Part: part})
	if answer == nil {
		w.tokens.forget()
	}
	return answer
}

// get asks for a blob or a range of it. Nil says to ask by the SDK.
func (w *wire) get(ctx context.Context, key string, opts bucket.ReadOptions) *http.Response {
	answer := w.hot.Get(ctx, w.url(key), getHeaders(opts))
	switch {
	case answer == nil:
		w.tokens.forget()
	case answer.ContentLength < 0: // what no service answers
		_ = answer.Body.Close() // only read
		return nil
	}
	return answer
}

// url is a blob's. Slashes in its key are escaped too, as the SDK does it.
func (w *wire) url(key string) *url.URL {
	u := *w.base
	u.RawPath = u.EscapedPath() + "/" + url.PathEscape(key)
	u.Path += "/" + key
	return &u
}

// getHeaders are what the SDK makes of a read: https://learn.microsoft.com/rest/api/storageservices/get-blob.
func getHeaders(opts bucket.ReadOptions) http.Header {
	header := http.Header{"Accept": {"application/octet-stream"}, "x-ms-version": {apiVersion}}
	if opts.Pin.ETag != "" {
		header["If-Match"] = []string{`"` + opts.Pin.ETag + `"`}
	}
	switch {
	case opts.Length > 0:
		header["x-ms-range"] = []string{fmt.Sprintf("bytes=%d-%d", opts.Offset, opts.Offset+opts.Length-1)}
	case opts.Offset > 0:
		header["x-ms-range"] = []string{fmt.Sprintf("bytes=%d-", opts.Offset)}
	}
	return header
}

// putHeaders are what the SDK makes of the same options: https://learn.microsoft.com/rest/api/storageservices/put-blob.
func putHeaders(o *blockblob.UploadOptions) http.Header {
	header := make(http.Header, 16+len(o.Metadata))
	set := func(name, value string) { header[name] = []string{value} }
	maybe := func(name string, value *string) {
		if value != nil {
			set(name, *value)
		}
	}
	set("Content-Type", "application/octet-stream")
	set("x-ms-blob-type", "BlockBlob")
	set("x-ms-version", apiVersion)
	if h := o.HTTPHeaders; h != nil {
		maybe("x-ms-blob-cache-control", h.BlobCacheControl)
		maybe("x-ms-blob-content-disposition", h.BlobContentDisposition)
		maybe("x-ms-blob-content-encoding", h.BlobContentEncoding)
		maybe("x-ms-blob-content-language", h.BlobContentLanguage)
		maybe("x-ms-blob-content-type", h.BlobContentType)
		sum := base64.StdEncoding.EncodeToString(h.BlobContentMD5)
		set("x-ms-blob-content-md5", sum)
		set("Content-MD5", sum)
	}
	if o.AccessConditions != nil {
		maybe("If-Match", (*string)(o.AccessConditions.ModifiedAccessConditions.IfMatch))
		maybe("If-None-Match", (*string)(o.AccessConditions.ModifiedAccessConditions.IfNoneMatch))
	}
	maybe("x-ms-access-tier", (*string)(o.Tier))
	if o.CPKScopeInfo != nil {
		maybe("x-ms-encryption-scope", o.CPKScopeInfo.EncryptionScope)
	}
	maybe("x-ms-immutability-policy-mode", (*string)(o.ImmutabilityPolicyMode))
	if until := o.ImmutabilityPolicyExpiryTime; until != nil {
		set("x-ms-immutability-policy-until-date", until.UTC().Format(http.TimeFormat))
	}
	if o.LegalHold != nil {
		set("x-ms-legal-hold", strconv.FormatBool(*o.LegalHold))
	}
	for name, text := range o.Metadata {
		maybe("x-ms-meta-"+name, text)
	}
	if len(o.Tags) > 0 {
		set("x-ms-tags", encodeTags(o.Tags))
	}
	return header
}

func encodeTags(tags map[string]string) string {
	query := make(url.Values, len(tags))
	for key, value := range tags {
		query.Set(key, value)
	}
	return query.Encode()
}

// sign adds the credentials of the account. Those of a SAS are in the URL.
func (w *wire) sign(request *http.Request) bool {
	request.Header["x-ms-date"] = []string{time.Now().UTC().Format(http.TimeFormat)}
	switch {
	case len(w.key) > 0:
		mac := hmac.New(sha256.New, w.key)
		_, _ = io.WriteString(mac, stringToSign(request, w.account)) // a hash takes every write
		request.Header["Authorization"] = []string{"SharedKey " + w.account + ":" + base64.StdEncoding.EncodeToString(mac.Sum(nil))}
	case w.tokens != nil:
		token, ok := w.tokens.get(request.Context(), time.Now())
		if !ok || request.URL.Scheme != "https" {
			return false
		}
		request.Header["Authorization"] = []string{"Bearer " + token}
	}
	return true
}

// stringToSign follows https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key, for a request without a query.
func stringToSign(request *http.Request, account string) string {
	header := request.Header
	first := func(name string) string {
		if values := header[name]; len(values) > 0 {
			return values[0]
		}
		return ""
	}
	length := ""
	if request.ContentLength > 0 {
		length = strconv.FormatInt(request.ContentLength, 10)
	}
	names := make([]string, 0, len(header))
	for name := range header {
		if strings.HasPrefix(name, "x-ms-") {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, collate)
	var text strings.Builder
	text.Grow(1 << 10)
	for _, line := range []string{
		request.Method, "", "", length, first("Content-MD5"), first("Content-Type"), "", "", first("If-Match"), first("If-None-Match"), "", "",
	} {
		text.WriteString(line)
		text.WriteByte('\n')
	}
	for _, name := range names {
		text.WriteString(name)
		text.WriteByte(':')
		text.WriteString(first(name))
		text.WriteByte('\n')
	}
	text.WriteByte('/')
	text.WriteString(account)
	text.WriteString(request.URL.EscapedPath())
	return text.String()
}

// collate orders names of headers as the service does, and its SDK (compareHeaders in its shared_key_credential.go): an underscore, as
// names of metadata have it, comes before digits, and these before letters.
func collate(a, b string) int {
	for i := range min(len(a), len(b)) {
		if x, y := a[i], b[i]; x != y {
			return int(weight(x)) - int(weight(y))
		}
	}
	return len(a) - len(b)
}

func weight(c byte) byte {
	if c == '_' {
		return '0' - 1
	}
	return c
}

// tokens keeps the last token of a chain.
type tokens struct {
	from azcore.TokenCredential
	mu   sync.Mutex
	last azcore.AccessToken
}

// early is how long before its end a token is replaced.
const early = 5 * time.Minute

// get is a token that lasts. False says that there is none, of which the SDK says why.
func (t *tokens) get(ctx context.Context, now time.Time) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	renew := t.last.ExpiresOn.Add(-early)
	if refresh := t.last.RefreshOn; !refresh.IsZero() && refresh.Before(renew) {
		renew = refresh
	}
	if t.last.Token != "" && now.Before(renew) {
		return t.last.Token, true
	}
	token, err := t.from.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://storage.azure.com/.default"}, EnableCAE: true})
	if err != nil {
		return "", false
	}
	t.last = token
	return token.Token, true
}

// forget has the chain be asked again: a token may be revoked, which the SDK is told and the chain then knows.
func (t *tokens) forget() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = azcore.AccessToken{}
}

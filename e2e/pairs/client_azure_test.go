//go:build unix

package pairs

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// viaREST is the REST API of Azure's blobs by plain requests with signatures of its own.
type viaREST struct {
	endpoint, account string
	key               []byte
	http              *http.Client
}

func newViaREST(endpoint, account, key string) (client, error) {
	raw, err := base64.StdEncoding.DecodeString(key)
	return viaREST{endpoint, account, raw, &http.Client{Transport: newTransport()}}, err
}

// do signs a request with the account's key (https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key) and sends it.
func (c viaREST) do(ctx context.Context, method, path string, query url.Values, header http.Header, body []byte) ([]byte, http.Header, error) {
	target := c.endpoint + "/" + c.account + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequest(method, target, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	request.Header = header.Clone()
	if request.Header == nil {
		request.Header = http.Header{}
	}
	request.Header.Set("x-ms-date", time.Now().UTC().Format(http.TimeFormat))
	request.Header.Set("x-ms-version", "2021-12-02")
	length := ""
	if len(body) > 0 {
		length = strconv.Itoa(len(body))
	}
	var names []string
	for name := range request.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-ms-") {
			names = append(names, lower)
		}
	}
	slices.Sort(names)
	text := strings.Join([]string{method, "", "", length, "", request.Header.Get("Content-Type"), "", "", "", "", "", ""}, "\n") + "\n"
	for _, name := range names {
		text += name + ":" + request.Header.Get(name) + "\n"
	}
	text += "/" + c.account + request.URL.EscapedPath()
	for _, name := range slices.Sorted(keysOf(query)) {
		text += "\n" + name + ":" + query.Get(name)
	}
	mac := hmac.New(sha256.New, c.key)
	mac.Write([]byte(text))
	request.Header.Set("Authorization", "SharedKey "+c.account+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return ask(ctx, c.http, request)
}

func keysOf(query url.Values) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range query {
			if !yield(name) {
				return
			}
		}
	}
}

func (c viaREST) makeBucket(ctx context.Context, bucket string) error {
	_, _, err := c.do(ctx, http.MethodPut, "/"+bucket, url.Values{"restype": {"container"}}, nil, nil)
	return err
}

func blobPath(bucket, key string) string { return "/" + bucket + "/" + url.PathEscape(key) }

func (c viaREST) put(ctx context.Context, bucket string, o object) error {
	header := http.Header{"X-Ms-Blob-Type": {"BlockBlob"}}
	for _, name := range contentHeaders() {
		if value := o.props[name]; value != "" {
			header.Set("x-ms-blob-"+strings.ToLower(name), value)
		}
	}
	for key, value := range o.props.part(metaPrefix) {
		header["x-ms-meta-"+identifier(key)] = []string{word(value)}
	}
	tags := url.Values{}
	for key, value := range o.props.part(tagPrefix) {
		tags.Set(key, value)
	}
	if len(tags) > 0 {
		header.Set("x-ms-tags", tags.Encode())
	}
	canonical := http.Header{}
	for name, values := range header {
		canonical.Set(name, values[0])
	}
	_, _, err := c.do(ctx, http.MethodPut, blobPath(bucket, o.key), nil, canonical, o.content())
	return err
}

func (c viaREST) keys(ctx context.Context, bucket string) ([]string, error) {
	var keys []string
	for marker := ""; ; {
		query := url.Values{"restype": {"container"}, "comp": {"list"}}
		if marker != "" {
			query.Set("marker", marker)
		}
		body, _, err := c.do(ctx, http.MethodGet, "/"+bucket, query, nil, nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Blobs struct {
				Blob []struct{ Name string }
			}
			NextMarker string
		}
		if err := xml.Unmarshal(body, &page); err != nil {
			return nil, err
		}
		for _, b := range page.Blobs.Blob {
			keys = append(keys, b.Name)
		}
		if marker = page.NextMarker; marker == "" {
			return keys, nil
		}
	}
}

func (c viaREST) get(ctx context.Context, bucket, key string) (found, error) {
	body, header, err := c.do(ctx, http.MethodGet, blobPath(bucket, key), nil, nil, nil)
	if err != nil {
		return found{}, err
	}
	p := props{}
	for _, name := range contentHeaders() {
		p.set(name, header.Get(name))
	}
	for name, values := range header {
		if key, ok := strings.CutPrefix(strings.ToLower(name), "x-ms-meta-"); ok {
			p.set(metaPrefix+unidentified(key), unword(values[0]))
		}
	}
	if n := header.Get("x-ms-tag-count"); n == "" || n == "0" {
		return see(body, p), nil
	}
	raw, _, err := c.do(ctx, http.MethodGet, blobPath(bucket, key), url.Values{"comp": {"tags"}}, nil, nil)
	if err != nil {
		return found{}, err
	}
	var tags struct {
		TagSet struct {
			Tag []struct{ Key, Value string }
		}
	}
	if err := xml.Unmarshal(raw, &tags); err != nil {
		return found{}, err
	}
	for _, tag := range tags.TagSet.Tag {
		p.set(tagPrefix+tag.Key, tag.Value)
	}
	return see(body, p), nil
}

// identifier is a key of metadata as docs/buckets.md says that Azure keeps it: what is no letter of a to z, no digit behind the
// first and no underscore becomes _xHHHH_; so does an underscore where that could be taken for the begin of one.
func identifier(key string) string {
	var name strings.Builder
	for i, r := range key {
		if r == '_' && escapeBegin.MatchString(strings.ToLower(key[i:])) || r != '_' && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&name, "_x%04x_", unit)
			}
			continue
		}
		name.WriteRune(r)
	}
	return name.String()
}

var (
	escapeBegin = regexp.MustCompile(`^_x[0-9a-f]{4}`)
	escapes     = regexp.MustCompile(`(_x[0-9a-f]{4}_)+`)
)

func unidentified(name string) string {
	return escapes.ReplaceAllStringFunc(name, func(run string) string {
		var units []uint16
		for ; run != ""; run = run[7:] {
			unit, err := strconv.ParseUint(run[2:6], 16, 16)
			if err != nil {
				return run
			}
			units = append(units, uint16(unit))
		}
		return string(utf16.Decode(units))
	})
}

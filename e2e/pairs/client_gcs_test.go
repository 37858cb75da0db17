//go:build unix

package pairs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// viaJSON is the JSON API of Cloud Storage by plain requests.
type viaJSON struct {
	endpoint string
	http     *http.Client
}

func newViaJSON(endpoint string) client {
	return viaJSON{endpoint, &http.Client{Transport: newTransport()}}
}

// resource is an object as the JSON API shows it.
type resource struct {
	Name               string            `json:"name"`
	ContentType        string            `json:"contentType,omitempty"`
	ContentEncoding    string            `json:"contentEncoding,omitempty"`
	ContentLanguage    string            `json:"contentLanguage,omitempty"`
	ContentDisposition string            `json:"contentDisposition,omitempty"`
	CacheControl       string            `json:"cacheControl,omitempty"`
	Metadata           map[string]string `json:"metadata,omitempty"`
}

// ask sends a request and returns the body of an answer of 200.
func ask(ctx context.Context, client *http.Client, request *http.Request) ([]byte, http.Header, error) {
	answer, err := client.Do(request.WithContext(ctx))
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = answer.Body.Close() }() // only read
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %.300s", request.Method, request.URL, answer.Status, body)
	}
	return body, answer.Header, err
}

func (c viaJSON) request(method, path string, body []byte) (*http.Request, error) {
	return http.NewRequest(method, c.endpoint+path, bytes.NewReader(body))
}

func (c viaJSON) makeBucket(ctx context.Context, bucket string) error {
	request, err := c.request(http.MethodPost, "/storage/v1/b?project=test", fmt.Appendf(nil, `{"name":%q}`, bucket))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	_, _, err = ask(ctx, c.http, request)
	return err
}

func (c viaJSON) put(ctx context.Context, bucket string, o object) error {
	about, err := json.Marshal(resource{
		Name: o.key, ContentType: o.props[contentType], ContentEncoding: o.props["Content-Encoding"], ContentLanguage: o.props["Content-Language"],
		ContentDisposition: o.props["Content-Disposition"], CacheControl: o.props["Cache-Control"], Metadata: o.props.part(metaPrefix),
	})
	if err != nil {
		return err
	}
	const boundary = "a-boundary-that-no-body-holds"
	var body bytes.Buffer
	fmt.Fprintf(&body, "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n%s\r\n--%s\r\nContent-Type: %s\r\n\r\n",
		boundary, about, boundary, or(o.props[contentType], "application/octet-stream"))
	body.Write(o.content())
	fmt.Fprintf(&body, "\r\n--%s--\r\n", boundary)
	request, err := c.request(http.MethodPost, "/upload/storage/v1/b/"+bucket+"/o?uploadType=multipart&name="+url.QueryEscape(o.key), body.Bytes())
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "multipart/related; boundary="+boundary)
	_, _, err = ask(ctx, c.http, request)
	return err
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (c viaJSON) keys(ctx context.Context, bucket string) ([]string, error) {
	var keys []string
	for token := ""; ; {
		request, err := c.request(http.MethodGet, "/storage/v1/b/"+bucket+"/o?maxResults=1000&fields=items(name),nextPageToken&pageToken="+url.QueryEscape(token), nil)
		if err != nil {
			return nil, err
		}
		body, _, err := ask(ctx, c.http, request)
		if err != nil {
			return nil, err
		}
		var page struct {
			Items         []resource
			NextPageToken string
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, err
		}
		for _, o := range page.Items {
			keys = append(keys, o.Name)
		}
		if token = page.NextPageToken; token == "" {
			return keys, nil
		}
	}
}

func (c viaJSON) get(ctx context.Context, bucket, key string) (found, error) {
	path := "/storage/v1/b/" + bucket + "/o/" + url.PathEscape(key)
	request, err := c.request(http.MethodGet, path, nil)
	if err != nil {
		return found{}, err
	}
	about, _, err := ask(ctx, c.http, request)
	if err != nil {
		return found{}, err
	}
	var r resource
	if err := json.Unmarshal(about, &r); err != nil {
		return found{}, err
	}
	request, err = c.request(http.MethodGet, path+"?alt=media", nil)
	if err != nil {
		return found{}, err
	}
	request.Header.Set("Accept-Encoding", "gzip") // as it is stored
	body, _, err := ask(ctx, c.http, request)
	if err != nil {
		return found{}, err
	}
	p := props{}
	p.set(contentType, r.ContentType)
	p.set("Content-Encoding", r.ContentEncoding)
	p.set("Content-Language", r.ContentLanguage)
	p.set("Content-Disposition", r.ContentDisposition)
	p.set("Cache-Control", r.CacheControl)
	for key, value := range r.Metadata {
		p.set(metaPrefix+key, value)
	}
	return see(body, p), nil
}

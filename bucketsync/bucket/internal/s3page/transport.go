package s3page

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

type takerKey struct{}

// Into gives the pages that requests under this context are answered with to take, in the goroutine that asks. When take
// returns false, the SDK hears that the listing ends there.
func Into(ctx context.Context, take func(Page) bool) context.Context {
	return context.WithValue(ctx, takerKey{}, take)
}

// Doer sends requests, as a client of the AWS SDK does.
type Doer struct {
	Below interface {
		Do(r *http.Request) (*http.Response, error)
	}
	answers
}

// Do implements the SDK's HTTPClient.
func (d *Doer) Do(r *http.Request) (*http.Response, error) {
	answer, err := d.Below.Do(r)
	if err != nil {
		return answer, err //nolint:wrapcheck // the SDK looks at what it is
	}
	return d.taken(r, answer), nil
}

// RoundTripper is a Doer for who wants a http.RoundTripper.
type RoundTripper struct {
	Below http.RoundTripper
	answers
}

// RoundTrip implements http.RoundTripper.
func (t *RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.Below.RoundTrip(r)
	if err != nil {
		return answer, err //nolint:wrapcheck // the SDK looks at what it is
	}
	return t.taken(r, answer), nil
}

// answers reads answers.
type answers struct {
	buffers sync.Pool // what an answer is held in while it is read
}

// taken takes the objects out of an answer, where somebody is there to take them. What is no page reaches the SDK as an answer that
// cannot be read.
func (a *answers) taken(r *http.Request, answer *http.Response) *http.Response {
	take, ok := r.Context().Value(takerKey{}).(func(Page) bool)
	if !ok || answer.StatusCode != http.StatusOK {
		return answer
	}
	page, err := a.read(answer.Body)
	if err != nil {
		answer.Body = io.NopCloser(failing{err})
		return answer
	}
	if !take(page) {
		page.More, page.Next = false, ""
	}
	answer.Body = io.NopCloser(strings.NewReader(rest(page)))
	answer.ContentLength = -1
	answer.Header.Del("Content-Length")
	return answer
}

func (a *answers) read(body io.ReadCloser) (Page, error) {
	buffer, ok := a.buffers.Get().(*bytes.Buffer)
	if !ok {
		buffer = new(bytes.Buffer)
	}
	defer a.buffers.Put(buffer)
	buffer.Reset()
	_, err := buffer.ReadFrom(body)
	if err := errors.Join(err, body.Close()); err != nil {
		return Page{}, fmt.Errorf("read a page of a listing: %w", err)
	}
	return Parse(buffer.Bytes())
}

// rest is the answer without its objects.
func rest(p Page) string {
	var b strings.Builder
	b.WriteString("<ListBucketResult><Name>")
	_ = xml.EscapeText(&b, []byte(p.Name)) // a Builder never fails
	fmt.Fprintf(&b, "</Name><IsTruncated>%t</IsTruncated>", p.More)
	if p.Next != "" {
		b.WriteString("<NextContinuationToken>")
		_ = xml.EscapeText(&b, []byte(p.Next))
		b.WriteString("</NextContinuationToken>")
	}
	b.WriteString("</ListBucketResult>")
	return b.String()
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

package gcs

import "net/http"

// asStored asks for media as they are stored: without this header the service inflates objects of Content-Encoding
// gzip on their way out. The SDK's ReadCompressed means the same, but cannot be used with JSON reads: the SDK refuses
// the header that it sets itself.
type asStored struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t asStored) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodGet && request.URL.Query().Get("alt") == "media" {
		request = request.Clone(request.Context())
		request.Header.Set("Accept-Encoding", "gzip")
	}
	return t.next.RoundTrip(request)
}

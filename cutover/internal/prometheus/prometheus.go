package prometheus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// ErrNoNumber says that a query was answered, and not with the numbers that are asked for: nothing was learned.
var ErrNoNumber = errors.New("no number")

// QueryError says that a query is wrong as it stands: asking again is of no use.
type QueryError struct{ text string }

// Error implements error.
func (e *QueryError) Error() string { return e.text }

// ServerError says that the server did not take the question, whatever it is.
type ServerError struct{ text string }

// Error implements error.
func (e *ServerError) Error() string { return e.text }

// Server is a Prometheus, or what has its API.
type Server struct {
	// URL is what stands before /api/v1.
	URL string
	// Username goes along with Password; without it a Token is sent, if there is one.
	Username, Password, Token string
	// Headers are sent with every question.
	Headers map[string]string
	// Roots are trusted for the server's certificate. Nil means those of the system.
	Roots *x509.CertPool
}

// answer is the envelope of every answer.
type answer struct {
	Status    string   `json:"status"`
	ErrorType string   `json:"errorType"`
	Error     string   `json:"error"`
	Warnings  []string `json:"warnings"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

// ask sends a form to an endpoint of the API and reads at most so many bytes of its answer. Its error is a *QueryError
// where the query is wrong, a *ServerError where it is no such server, and wraps ErrNoNumber where the answer may not be whole.
func (s Server) ask(ctx context.Context, endpoint string, form url.Values, limit int64) (answer, error) {
	req, err := s.request(ctx, endpoint, form)
	if err != nil {
		return answer{}, err
	}
	client := &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: s.Roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("ask Prometheus: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return answer{}, fmt.Errorf("read Prometheus's answer: %w", err)
	}
	if int64(len(raw)) > limit {
		return answer{}, &QueryError{fmt.Sprintf("the answer has more than %d bytes: aggregate the query to one series, as with sum(…)", limit)}
	}
	return parseAnswer(resp, raw)
}

func (s Server) request(ctx context.Context, endpoint string, form url.Values) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(s.URL, "/")+"/api/v1/"+endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("ask Prometheus: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range s.Headers {
		req.Header.Set(name, value)
	}
	switch {
	case s.Username != "":
		req.SetBasicAuth(s.Username, s.Password)
	case s.Token != "":
		req.Header.Set("Authorization", "Bearer "+s.Token)
	}
	return req, nil
}

func parseAnswer(resp *http.Response, raw []byte) (answer, error) {
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil || a.Status != "success" && a.Status != "error" {
		text := fmt.Sprintf("it answers %s, and not as Prometheus does", resp.Status)
		if to := resp.Header.Get("Location"); to != "" {
			text += ": it leads elsewhere, perhaps to a login"
		}
		return a, &ServerError{text}
	}
	if a.Status == "error" {
		text := fmt.Sprintf("Prometheus answers %s: %s: %s", resp.Status, a.ErrorType, firstLine(a.Error))
		if a.ErrorType == "bad_data" || a.ErrorType == "execution" {
			return a, &QueryError{text}
		}
		return a, &ServerError{text}
	}
	if len(a.Warnings) > 0 {
		return a, fmt.Errorf("%w: Prometheus warns that the answer may not be whole: %s", ErrNoNumber, firstLine(strings.Join(a.Warnings, "; ")))
	}
	return a, nil
}

func firstLine(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	const limit = 300
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}

package cutover

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// promServer is a Prometheus, or what has its API, as the file names it.
type promServer struct {
	what            string // names it for the messages of secrets
	url, username   string
	password, token *migration.SecretRef
	headers         map[string]string
}

// promAnswer is the envelope of every answer.
type promAnswer struct {
	Status    string   `json:"status"`
	ErrorType string   `json:"errorType"`
	Error     string   `json:"error"`
	Warnings  []string `json:"warnings"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

// askPrometheus sends a form to an endpoint of the API and reads at most so many bytes of its answer. Its error is a *queryError
// where the query is wrong, a *serverError where it is no such server, and wraps errNoNumber where the answer may not be whole.
func (o Options) askPrometheus(ctx context.Context, s promServer, endpoint string, form url.Values, limit int64) (promAnswer, error) {
	req, err := o.promRequest(ctx, s, endpoint, form)
	if err != nil {
		return promAnswer{}, err
	}
	client := &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return promAnswer{}, fmt.Errorf("ask Prometheus: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return promAnswer{}, fmt.Errorf("read Prometheus's answer: %w", err)
	}
	if int64(len(raw)) > limit {
		return promAnswer{}, &queryError{fmt.Sprintf("the answer has more than %d bytes: aggregate the query to one series, as with sum(…)", limit)}
	}
	return parseAnswer(resp, raw)
}

func (o Options) promRequest(ctx context.Context, s promServer, endpoint string, form url.Values) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(s.url, "/")+"/api/v1/"+endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("ask Prometheus: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range s.headers {
		req.Header.Set(name, value)
	}
	password, err := o.secret(ctx, s.password, "password of "+s.what)
	if err != nil {
		return nil, err
	}
	token, err := o.secret(ctx, s.token, "token of "+s.what)
	if err != nil {
		return nil, err
	}
	switch {
	case s.username != "":
		req.SetBasicAuth(s.username, password)
	case token != "":
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

func parseAnswer(resp *http.Response, raw []byte) (promAnswer, error) {
	var a promAnswer
	if err := json.Unmarshal(raw, &a); err != nil || a.Status != "success" && a.Status != "error" {
		text := fmt.Sprintf("it answers %s, and not as Prometheus does", resp.Status)
		if to := resp.Header.Get("Location"); to != "" {
			text += ": it leads elsewhere, perhaps to a login"
		}
		return a, &serverError{status: resp.StatusCode, text: text}
	}
	if a.Status == "error" {
		text := fmt.Sprintf("Prometheus answers %s: %s: %s", resp.Status, a.ErrorType, firstLine(a.Error))
		if a.ErrorType == "bad_data" || a.ErrorType == "execution" {
			return a, &queryError{text}
		}
		return a, &serverError{status: resp.StatusCode, text: text}
	}
	if len(a.Warnings) > 0 {
		return a, fmt.Errorf("%w: Prometheus warns that the answer may not be whole: %s", errNoNumber, firstLine(strings.Join(a.Warnings, "; ")))
	}
	return a, nil
}

// serverError says that the server did not take the question, whatever it is.
type serverError struct {
	status int
	text   string
}

// Error implements error.
func (e *serverError) Error() string { return e.text }

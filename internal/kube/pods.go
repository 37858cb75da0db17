package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Bounds on what one pod may make us hold, in bytes.
const (
	maxPodAnswer  = 64 << 20
	maxPodFailure = 1 << 20
)

// ErrPodUnreachable says that the API server answered in the pod's stead: the pod was never asked, or did not answer.
var ErrPodUnreachable = errors.New("the pod could not be reached through the API server")

// PodRequest is one HTTP request to one port of one pod. Path may carry a query.
type PodRequest struct {
	Namespace, Pod string
	Port           int
	Method         string
	Path           string
	Body           []byte
	// Host is that of the request, which an API server passes on; empty is the server's own.
	Host string
	// Header is sent with the request.
	Header http.Header
}

// PodRequest sends a request through the API server's pod proxy and returns the pod's own answer, whatever its status.
// An answer that comes from the API server instead is an error: missing evidence is not good news (I8).
func (c *Client) PodRequest(ctx context.Context, req PodRequest) (int, http.Header, []byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, podTime, fmt.Errorf("no answer within %s", podTime))
	defer cancel()
	resp, err := c.PodStream(ctx, req, bytes.NewReader(req.Body))
	if err != nil {
		return 0, nil, nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPodAnswer+1))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err == nil && len(body) > maxPodAnswer {
		err = fmt.Errorf("it is larger than %d bytes", maxPodAnswer)
	}
	if err != nil {
		return 0, nil, nil, fmt.Errorf("%s: read the answer: %w", req, err)
	}
	return resp.StatusCode, resp.Header, body, nil
}

// PodStream is PodRequest for bodies that do not fit into memory. The caller closes the answer's body.
func (c *Client) PodStream(ctx context.Context, req PodRequest, body io.Reader) (*http.Response, error) {
	target, err := c.podURL(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req, err)
	}
	hr, err := http.NewRequestWithContext(ctx, req.Method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req, err)
	}
	if req.Header != nil {
		hr.Header = req.Header.Clone()
	}
	hr.Host = req.Host
	hr.Header.Set("User-Agent", c.Config.UserAgent)
	resp, err := c.pods.Do(hr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req, because(ctx, withoutURL(err)))
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp, nil
	}
	// A failure is short, and only its text tells whose it is.
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxPodFailure))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("%s: read the answer: %w", req, err)
	}
	if why, ok := serverAnswered(text); ok {
		return nil, fmt.Errorf("%s: %w: %s", req, ErrPodUnreachable, why)
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp, nil
}

// String names the request for a person. A query may hold a secret, so it is left out.
func (r PodRequest) String() string {
	path, _, _ := strings.Cut(r.Path, "?")
	return fmt.Sprintf("%s pod %s/%s port %d %s", r.Method, r.Namespace, r.Pod, r.Port, path)
}

// withoutURL takes the URL out of an error of net/http: it repeats the query.
func withoutURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// because gives the cause of a context that has ended, where it says more than that it has.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

func (c *Client) podURL(req PodRequest) (string, error) {
	path, err := url.Parse("/" + strings.TrimPrefix(req.Path, "/"))
	if err != nil {
		return "", fmt.Errorf("read the path: %w", err)
	}
	u := *c.base
	prefix := fmt.Sprintf("api/v1/namespaces/%s/pods/%s:%d/proxy", req.Namespace, req.Pod, req.Port)
	joined := u.JoinPath(prefix, path.EscapedPath())
	joined.RawQuery = path.RawQuery
	return joined.String(), nil
}

// serverAnswered tells an API server's own failure from a pod's answer: it sends a Status of its API, or, before it sends
// one for the proxy too, a line of text.
func serverAnswered(body []byte) (string, bool) {
	if text := string(body); strings.HasPrefix(text, "error trying to reach service:") {
		return strings.TrimSpace(text), true
	}
	var status metav1.Status
	if json.Unmarshal(body, &status) != nil || status.Kind != "Status" || status.APIVersion != "v1" || status.Status != metav1.StatusFailure {
		return "", false
	}
	return status.Message, true
}

// PodReady reports whether a pod says that it is ready.
func PodReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// PodReason says why a pod of one container does not run.
func PodReason(pod *corev1.Pod) string {
	for _, s := range pod.Status.ContainerStatuses {
		if w := s.State.Waiting; w != nil {
			return fmt.Sprintf("%s: %s", w.Reason, w.Message)
		}
		if t := s.State.Terminated; t != nil {
			return fmt.Sprintf("%s: exit status %d %s", t.Reason, t.ExitCode, t.Message)
		}
	}
	if pod.Status.Reason != "" {
		return fmt.Sprintf("%s: %s", pod.Status.Reason, pod.Status.Message)
	}
	return string(pod.Status.Phase)
}

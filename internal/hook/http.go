package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// maxRounds bounds how often pods that appeared while others were asked are asked too.
const maxRounds = 10

func method(h migration.HTTPHook) string {
	if h.Method == "" {
		return http.MethodPost
	}
	return h.Method
}

// withoutUser hides what a URL may carry as a password, and its query.
func withoutUser(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(a URL that cannot be read)"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func withoutQuery(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return path
}

func (r Runner) runHTTP(ctx context.Context, h migration.HTTPHook) (Outcome, error) {
	if h.Pods == nil {
		status, err := r.callURL(ctx, h)
		if err == nil {
			err = expected(h, status)
		}
		if err != nil {
			return Outcome{}, fmt.Errorf("%s %s: %w", method(h), withoutUser(h.URL), err)
		}
		return Outcome{Asked: []string{withoutUser(h.URL)}}, nil
	}
	return r.askPods(ctx, h)
}

// askPods asks every running pod, and again those that began to run while the others were asked.
func (r Runner) askPods(ctx context.Context, h migration.HTTPHook) (Outcome, error) {
	var out Outcome
	for range maxRounds {
		pods, err := r.pods(ctx, *h.Pods)
		if err != nil {
			return out, err
		}
		fresh := slices.DeleteFunc(names(pods.running), func(n string) bool { return slices.Contains(out.Asked, n) })
		if len(fresh) == 0 {
			break
		}
		for _, name := range fresh {
			status, err := r.callPod(ctx, h, name)
			if err == nil {
				err = expected(h, status)
			}
			if err != nil {
				return out, fmt.Errorf("ask pod %s/%s: %w", r.Namespace, name, err)
			}
			out.Asked = append(out.Asked, name)
		}
	}
	if len(out.Asked) == 0 {
		return out, fmt.Errorf("ask the pods %q in %s: %w", r.selector(*h.Pods), r.Namespace, ErrNoPods)
	}
	return out, nil
}

func expected(h migration.HTTPHook, status int) error {
	if status == h.Expect || h.Expect == 0 && status >= 200 && status < 300 {
		return nil
	}
	want := "2xx"
	if h.Expect != 0 {
		want = fmt.Sprint(h.Expect)
	}
	return fmt.Errorf("%w: status %d instead of %s", ErrAnswer, status, want)
}

func (r Runner) callPod(ctx context.Context, h migration.HTTPHook, pod string) (int, error) {
	status, _, _, err := r.Kube.PodRequest(ctx, r.podRequest(h, pod))
	return status, err
}

func (r Runner) podRequest(h migration.HTTPHook, pod string) kube.PodRequest {
	return kube.PodRequest{
		Namespace: r.Namespace, Pod: pod, Port: h.Pods.Port, Method: method(h), Path: h.Pods.Path, Body: []byte(h.Body),
	}
}

// urlTime bounds a request to a URL whose answer is only its status.
const urlTime = 2 * time.Minute

func (r Runner) callURL(ctx context.Context, h migration.HTTPHook) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, urlTime)
	defer cancel()
	resp, err := r.openURL(ctx, h, strings.NewReader(h.Body))
	if err != nil {
		return 0, err
	}
	// The connection is kept for the next call only when the answer was read.
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	return resp.StatusCode, err
}

func (r Runner) openURL(ctx context.Context, h migration.HTTPHook, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method(h), h.URL, body)
	if err != nil {
		return nil, fmt.Errorf("the URL cannot be used: %w", hidden(err, h.URL))
	}
	client := r.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("no answer within %s: %w", urlTime, hidden(err, h.URL))
	}
	if err != nil {
		return nil, hidden(err, h.URL)
	}
	return resp, nil
}

// hidden takes the URL out of an error: net/url's own text repeats it with its query.
func hidden(err error, raw string) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return fmt.Errorf("%s %s: %w", ue.Op, withoutUser(raw), ue.Err)
	}
	return err
}

// stream sends body, if any, and copies the answer to w. Of several pods, the first by name is asked: a payload exists once.
func (r Runner) stream(ctx context.Context, h migration.HTTPHook, body io.Reader, w io.Writer) error {
	if body == nil {
		body = strings.NewReader(h.Body)
	}
	resp, err := r.open(ctx, h, body)
	if err != nil {
		return err
	}
	if err = expected(h, resp.StatusCode); err == nil {
		_, err = io.Copy(w, resp.Body)
	}
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", Describe(migration.Hook{HTTP: &h}), err)
	}
	return nil
}

func (r Runner) open(ctx context.Context, h migration.HTTPHook, body io.Reader) (*http.Response, error) {
	if h.Pods == nil {
		return r.openURL(ctx, h, body)
	}
	pods, err := r.pods(ctx, *h.Pods)
	if err != nil {
		return nil, err
	}
	if len(pods.running) == 0 {
		return nil, fmt.Errorf("ask the pods %q in %s: %w", r.selector(*h.Pods), r.Namespace, ErrNoPods)
	}
	return r.Kube.PodStream(ctx, r.podRequest(h, names(pods.running)[0]), body)
}

// podSet is the pods of a selector: those that run, and those that are about to run or still end.
type podSet struct{ running, unsettled []corev1.Pod }

func (r Runner) selector(p migration.PodEndpoint) string {
	if p.Selector != "" {
		return p.Selector
	}
	return r.Selector
}

func (r Runner) pods(ctx context.Context, p migration.PodEndpoint) (podSet, error) {
	selector := r.selector(p)
	list, err := r.Kube.Typed.CoreV1().Pods(r.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return podSet{}, fmt.Errorf("list the pods %q in %s: %w", selector, r.Namespace, err)
	}
	var set podSet
	for _, pod := range list.Items {
		switch {
		case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		case pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil:
			set.running = append(set.running, pod)
		default:
			set.unsettled = append(set.unsettled, pod)
		}
	}
	return set, nil
}

func names(pods []corev1.Pod) []string {
	out := make([]string, 0, len(pods))
	for _, p := range pods {
		out = append(out, p.Name)
	}
	slices.Sort(out)
	return out
}

// Reach reports whether a hook of pods would find somebody to ask: nil, or ErrNoPods.
func (r Runner) Reach(ctx context.Context, p migration.PodEndpoint) error {
	pods, err := r.pods(ctx, p)
	if err == nil && len(pods.running) == 0 {
		err = fmt.Errorf("ask the pods %q in %s: %w", r.selector(p), r.Namespace, ErrNoPods)
	}
	return err
}

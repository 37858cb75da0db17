package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	pollEvery = time.Second
	// sayEvery is how often a wait says what it waits for.
	sayEvery = 30 * time.Second
)

// A HangError says that a namespace does not go, and what holds it.
type HangError struct {
	Namespace string
	After     time.Duration
	Why       string
}

// Error names what holds the namespace, and what to do.
func (e *HangError) Error() string {
	return fmt.Sprintf("namespace %s is still there after %s: %s; mend what holds it and run again: finalizers are never taken away from here", e.Namespace, e.After.Round(time.Second), e.Why)
}

// waitGone waits until a namespace is gone, says every 30 s what holds it, and ends at the limit.
func waitGone(ctx context.Context, opts DestroyOptions, data deleteData) error {
	began := opts.Clock.Now()
	said := began
	for {
		ns, err := opts.Blue.Typed.CoreV1().Namespaces().Get(ctx, data.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && string(ns.UID) != data.UID {
			return nil
		}
		if err != nil {
			return fmt.Errorf("wait until it is gone: %w", err)
		}
		passed := opts.Clock.Now().Sub(began)
		if passed >= opts.Limit {
			return &HangError{Namespace: data.Name, After: passed, Why: hanging(ns)}
		}
		if opts.Clock.Now().Sub(said) >= sayEvery {
			said = opts.Clock.Now()
			opts.Log.InfoContext(ctx, "wait until the namespace is gone", "namespace", data.Name, "waited", passed.Round(time.Second), "limit", opts.Limit, "why", hanging(ns))
		}
		if err := opts.Clock.Sleep(ctx, pollEvery); err != nil {
			return fmt.Errorf("wait until it is gone: %w", err)
		}
	}
}

// hanging is what the namespace's own conditions say holds it.
func hanging(ns *corev1.Namespace) string {
	var why []string
	for _, c := range ns.Status.Conditions {
		if c.Status == corev1.ConditionTrue && c.Message != "" {
			why = append(why, c.Message)
		}
	}
	slices.Sort(why)
	if len(why) == 0 {
		return "its cluster does not say what holds it; is its controller manager running?"
	}
	return strings.Join(why, "; ")
}

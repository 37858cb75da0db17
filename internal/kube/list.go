package kube

import (
	"context"
	"errors"
	"fmt"
	"iter"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	pageSize = 500
	// maxRestarts ends a listing whose token expires again and again: the server compacts faster than we read.
	maxRestarts = 5
)

// ErrListExpired says that the server's token expired on every try.
var ErrListExpired = errors.New("the listing expired again and again before its end")

// List yields the objects of a resource in a namespace ("" is all), page by page. When the server's token expires (410), the
// listing starts again from its beginning, and what was yielded before is not yielded again: no holes, no doubles (K17).
// A failed listing yields its error last; one that ends without an error is complete.
func (c *Client) List(ctx context.Context, r Resource, namespace, labelSelector string) iter.Seq2[*unstructured.Unstructured, error] {
	return func(yield func(*unstructured.Unstructured, error) bool) {
		seen := map[string]bool{}
		token, restarts := "", 0
		for {
			opts := metav1.ListOptions{Limit: pageSize, Continue: token, LabelSelector: labelSelector}
			page, err := c.At(r, namespace).List(ctx, opts)
			if token != "" && expired(err) {
				if token, restarts = "", restarts+1; restarts <= maxRestarts {
					continue
				}
				err = fmt.Errorf("%w: %w", ErrListExpired, err)
			}
			if err != nil {
				yield(nil, fmt.Errorf("list %s%s: %w", r, in(namespace), err))
				return
			}
			if !yieldPage(page, seen, yield) {
				return
			}
			if token = page.GetContinue(); token == "" {
				return
			}
		}
	}
}

func expired(err error) bool { return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) }

func yieldPage(page *unstructured.UnstructuredList, seen map[string]bool, yield func(*unstructured.Unstructured, error) bool) bool {
	for i := range page.Items {
		obj := &page.Items[i]
		key := obj.GetNamespace() + "/" + obj.GetName()
		if seen[key] {
			continue
		}
		seen[key] = true
		if !yield(obj, nil) {
			return false
		}
	}
	return true
}

func in(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " in " + namespace
}

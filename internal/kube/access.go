package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	authv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Allowed asks the server whether this client may do verb to the resource in a namespace ("" is cluster-wide). When it may
// not, the string says why, as far as the server tells. A resource's name may carry a subresource: "pods/proxy".
func (c *Client) Allowed(ctx context.Context, verb string, r Resource, namespace string) (bool, string, error) {
	name, sub, _ := strings.Cut(r.Resource, "/")
	review := &authv1.SelfSubjectAccessReview{Spec: authv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authv1.ResourceAttributes{
			Namespace: namespace, Verb: verb, Group: r.Group, Version: r.Version, Resource: name, Subresource: sub,
		},
	}}
	got, err := c.Typed.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, "", fmt.Errorf("ask for the right to %s %s%s: %w", verb, r, in(namespace), err)
	}
	if got.Status.Allowed {
		return true, "", nil
	}
	why := got.Status.Reason
	if got.Status.EvaluationError != "" {
		why += " (" + got.Status.EvaluationError + ")"
	}
	return false, why, nil
}

// askParallel is how many questions for rights are under way at once.
const askParallel = 16

// Holds asks the server for everything that rules grant, and returns what this client may not do, in an order for people.
func (c *Client) Holds(ctx context.Context, rules ...Rule) ([]Missing, error) {
	var mu sync.Mutex
	var missing []Missing
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(askParallel)
	for _, r := range rules {
		for _, m := range r.each() {
			group.Go(func() error {
				ok, err := c.may(ctx, m)
				if err == nil && !ok {
					mu.Lock()
					defer mu.Unlock()
					missing = append(missing, m)
				}
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(missing, compareMissing)
	return missing, nil
}

// each lists everything that a rule grants.
func (r Rule) each() []Missing {
	var out []Missing
	names := r.Names
	if len(names) == 0 {
		names = []string{""}
	}
	for _, verb := range r.Verbs {
		for _, url := range r.URLs {
			out = append(out, Missing{Verb: verb, URL: url, Why: r.Why})
		}
		for _, resource := range r.Resources {
			for _, name := range names {
				out = append(out, Missing{Verb: verb, Group: r.Groups[0], Resource: resource, Namespace: r.Namespace, Name: name, Why: r.Why})
			}
		}
	}
	return out
}

// HoldsAll reports whether this client may do everything everywhere.
func (c *Client) HoldsAll(ctx context.Context) (bool, error) {
	return c.may(ctx, Missing{Verb: "*", Group: "*", Resource: "*"})
}

// Missing is one right that is not held.
type Missing struct {
	Verb      string   `json:"verb"`
	Group     string   `json:"group,omitempty"`
	Resource  string   `json:"resource,omitempty"`
	URL       string   `json:"nonResourceURL,omitempty"`
	Namespace string   `json:"namespace,omitempty"`
	Name      string   `json:"name,omitempty"`
	Why       []string `json:"why,omitempty"`
}

// String names it as kubectl auth can-i would be asked: "patch deployments.apps in shop".
func (m Missing) String() string {
	if m.URL != "" {
		return m.Verb + " " + m.URL
	}
	what := m.Resource
	if m.Group != "" {
		resource, sub, found := strings.Cut(m.Resource, "/")
		if what = resource + "." + m.Group; found {
			what += "/" + sub
		}
	}
	text := m.Verb + " " + what
	if m.Name != "" {
		text += " " + m.Name
	}
	if m.Namespace == "" {
		return text + " in the whole cluster"
	}
	return text + in(m.Namespace)
}

func (c *Client) may(ctx context.Context, m Missing) (bool, error) {
	resource, sub, _ := strings.Cut(m.Resource, "/")
	review := &authv1.SelfSubjectAccessReview{}
	if m.URL != "" {
		review.Spec.NonResourceAttributes = &authv1.NonResourceAttributes{Path: m.URL, Verb: m.Verb}
	} else {
		review.Spec.ResourceAttributes = &authv1.ResourceAttributes{
			Namespace: m.Namespace, Verb: m.Verb, Group: m.Group, Resource: resource, Subresource: sub, Name: m.Name,
		}
	}
	got, err := c.Typed.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask for the right to %s: %w", m, err)
	}
	return got.Status.Allowed, nil
}

// compareMissing orders by place, resource and verb.
func compareMissing(a, b Missing) int {
	return cmp.Or(
		cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource+a.URL, b.Resource+b.URL),
		cmp.Compare(a.Verb, b.Verb), cmp.Compare(a.Name, b.Name),
	)
}

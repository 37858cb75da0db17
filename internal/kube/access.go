package kube

import (
	"context"
	"fmt"
	"strings"

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

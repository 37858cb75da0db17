package kubetest

import (
	"context"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// TakeAway removes a rule from the role of that name: the ClusterRole, or the Role where the rule has a namespace. It returns what
// puts all rules back. A role that does not hold the rule is an error: whoever then waits for a refusal would wait for nothing.
func TakeAway(ctx context.Context, admin *kube.Client, name string, rule kube.Rule) (back func() error, err error) {
	all, write, err := rulesOf(ctx, admin, name, rule.Namespace)
	if err != nil {
		return nil, fmt.Errorf("read the role %s: %w", name, err)
	}
	same := func(r rbacv1.PolicyRule) bool {
		return slices.Equal(r.Verbs, rule.Verbs) && slices.Equal(r.Resources, rule.Resources) && slices.Equal(r.APIGroups, rule.Groups) &&
			slices.Equal(r.ResourceNames, rule.Names) && slices.Equal(r.NonResourceURLs, rule.URLs)
	}
	rest := slices.DeleteFunc(slices.Clone(all), same)
	if len(rest) == len(all) {
		return nil, fmt.Errorf("the role %s has no rule to %v %v", name, rule.Verbs, rule.Resources)
	}
	return func() error { return write(all) }, write(rest)
}

// rulesOf reads the rules of a role, and returns what replaces them.
func rulesOf(ctx context.Context, admin *kube.Client, name, namespace string) ([]rbacv1.PolicyRule, func([]rbacv1.PolicyRule) error, error) {
	rbac := admin.Typed.RbacV1()
	if namespace == "" {
		role, err := rbac.ClusterRoles().Get(ctx, name, metav1.GetOptions{})
		return role.Rules, func(rules []rbacv1.PolicyRule) error {
			role.Rules = rules
			role, err = rbac.ClusterRoles().Update(ctx, role, metav1.UpdateOptions{})
			return err
		}, err
	}
	role, err := rbac.Roles(namespace).Get(ctx, name, metav1.GetOptions{})
	return role.Rules, func(rules []rbacv1.PolicyRule) error {
		role.Rules = rules
		role, err = rbac.Roles(namespace).Update(ctx, role, metav1.UpdateOptions{})
		return err
	}, err
}

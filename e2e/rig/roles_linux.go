package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/e2e/rig/process"
	"github.com/crossfade-project/crossfade/internal/kube"
)

// OperatorUser is who runs migrations on a rig.
const OperatorUser = cluster.OperatorUser

// PrintRoles are the arguments with which the command prints the least roles of one side for the operator, who may not yet read
// what they are made from.
func (i *Info) PrintRoles(side string) []string {
	return []string{"doctor", "--rbac", "--side", side, "--user", OperatorUser,
		"--blue-kubeconfig", i.Side("blue").Kubeconfig, "--green-kubeconfig", i.Side("green").Kubeconfig}
}

// Grant gives the operator the roles that the command prints for a migration file, on both sides, and nothing else. It returns
// when both API servers go by them.
func (i *Info) Grant(ctx context.Context, binary, file string) error {
	for _, side := range []string{"blue", "green"} {
		cmd := exec.CommandContext(ctx, binary, append(i.PrintRoles(side), "-f", file)...)
		var said bytes.Buffer
		cmd.Stderr = &said
		roles, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("print the roles for %s: %w: %s", side, err, said.Bytes())
		}
		if err := i.Side(side).apply(ctx, string(roles)); err != nil {
			return fmt.Errorf("give the operator his roles on %s: %w", side, err)
		}
		if err := i.Side(side).granted(ctx, string(roles)); err != nil {
			return fmt.Errorf("wait until %s goes by the operator's roles: %w", side, err)
		}
	}
	return nil
}

// granted waits until the operator holds every rule of the roles: a server learns of roles a moment after it has them.
func (s *SideInfo) granted(ctx context.Context, roles string) error {
	operator, err := kube.Connect(kube.Options{Kubeconfig: s.Operator})
	if err != nil {
		return err
	}
	var rules []kube.Rule
	for document := range strings.SplitSeq(roles, "---\n") {
		var role rbacv1.ClusterRole // a Role has the same rules
		if err := yaml.Unmarshal([]byte(document), &role); err != nil {
			return fmt.Errorf("read a printed role: %w", err)
		}
		for _, r := range role.Rules {
			rules = append(rules, kube.Rule{
				Namespace: role.Namespace, Groups: r.APIGroups, Resources: r.Resources, URLs: r.NonResourceURLs, Verbs: r.Verbs, Names: r.ResourceNames,
			})
		}
	}
	return process.WaitUntil(ctx, deployLimit, func(ctx context.Context) error {
		missing, err := operator.Holds(ctx, rules...)
		if err == nil && len(missing) > 0 {
			err = fmt.Errorf("the operator may not %s yet", missing[0])
		}
		return err
	})
}

// Define makes the kind of a set's custom resource on blue before the set is there, and returns when it is served. Printed roles
// name every kind that blue serves; of one that comes later a run may not know whether it is the applications'.
func (i *Info) Define(ctx context.Context, d Demo) error {
	d = d.withDefaults()
	stream, err := i.render(d)
	if err != nil {
		return err
	}
	blue := i.Side("blue")
	for document := range strings.SplitSeq(stream, "---\n") {
		if strings.Contains(document, "kind: CustomResourceDefinition\n") {
			err = errors.Join(err, blue.apply(ctx, document))
		}
	}
	if err != nil {
		return fmt.Errorf("define the kind of %s: %w", d.Namespace, err)
	}
	reader, err := kube.Connect(kube.Options{Kubeconfig: blue.Kubeconfig})
	if err != nil {
		return err
	}
	err = process.WaitUntil(ctx, deployLimit, func(ctx context.Context) error {
		served, _, err := reader.Resources(ctx)
		if err == nil && !slices.ContainsFunc(served, func(r kube.Resource) bool { return r.Group == d.group() }) {
			err = errors.New("it is not served yet")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("wait for the kind of %s: %w", d.Namespace, err)
	}
	return nil
}

// Revoke takes the roles of a migration back on both sides.
func (i *Info) Revoke(ctx context.Context, migration string) error {
	var failed []error
	for _, side := range i.Sides {
		client, err := side.Client()
		if err != nil {
			return err
		}
		failed = append(failed, revoke(ctx, client, metav1.ListOptions{
			LabelSelector: kube.LabelMigration + "=" + migration + "," + kube.LabelComponent + "=" + kube.ComponentRights,
		}))
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("take the roles of %s back: %w", migration, err)
	}
	return nil
}

func revoke(ctx context.Context, client *kubernetes.Clientset, ours metav1.ListOptions) error {
	at := client.RbacV1()
	failed := []error{
		at.ClusterRoleBindings().DeleteCollection(ctx, metav1.DeleteOptions{}, ours),
		at.ClusterRoles().DeleteCollection(ctx, metav1.DeleteOptions{}, ours),
	}
	bindings, err := at.RoleBindings("").List(ctx, ours)
	if err != nil {
		return errors.Join(append(failed, err)...)
	}
	roles, err := at.Roles("").List(ctx, ours)
	if err != nil {
		return errors.Join(append(failed, err)...)
	}
	gone := func(err error) error {
		if apierrors.IsNotFound(err) {
			return nil // its namespace has taken it along
		}
		return err
	}
	for _, b := range bindings.Items {
		failed = append(failed, gone(at.RoleBindings(b.Namespace).Delete(ctx, b.Name, metav1.DeleteOptions{})))
	}
	for _, r := range roles.Items {
		failed = append(failed, gone(at.Roles(r.Namespace).Delete(ctx, r.Name, metav1.DeleteOptions{})))
	}
	return errors.Join(failed...)
}

package restore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/migration"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// withEarlier is a revision that had others before it.
type withEarlier struct {
	*memArchive
	kinds []schema.GroupKind
}

func (a withEarlier) EarlierKinds(context.Context) ([]schema.GroupKind, error) { return a.kinds, nil }

// Blue has lost its last object of a kind. It is found on green, since an earlier revision held the kind; an account that may not
// list it keeps it, and says so; and of a kind that no revision held nobody asks.
func TestWhatVanishedIsLookedForInTheKindsThatWereMovedOnly(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, strings.Join(strings.Split(demo, "\n---\n")[:2], "\n---\n")+"\n---"+twoObjects)
	f.restore(t)
	group := f.ns + ".crossfade.test"
	f.get(t, group, "Offer", "spring")
	f.delta(t, 2, twoObjects)
	held := f.opts.Archive.(*memArchive)
	id := "Offer/" + f.ns + "/spring"
	if p := f.plan(t); strings.Contains(fmt.Sprint(p.Changes), id) {
		t.Errorf("a kind that no revision held was asked for: %v", p.Changes)
	}
	f.opts.Archive = withEarlier{held, []schema.GroupKind{{Group: group, Kind: "Offer"}}}
	if p := f.plan(t); !strings.Contains(fmt.Sprint(p.Changes), id) {
		t.Errorf("%s is not deleted: %v", id, p.Changes)
	}

	admin, user := f.opts.Green, "narrow-"+f.ns
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: user}}
	resources, _, err := admin.Resources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resources {
		if isOwn(r.Group) && !slices.ContainsFunc(role.Rules, func(rule rbacv1.PolicyRule) bool { return rule.APIGroups[0] == r.Group }) {
			role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: []string{r.Group}, Resources: []string{"*"}, Verbs: []string{"*"}})
		}
	}
	rbac := admin.Typed.RbacV1()
	if _, err := rbac.ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user}, Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacGroup, Name: user}},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacGroup, Kind: "ClusterRole", Name: user},
	}
	if _, err := rbac.ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.opts.Green = kubetest.As(t, admin, user)
	for missing := true; missing; { // the server goes by it a moment later
		_, err := f.opts.Green.Typed.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		missing = err != nil
	}
	p := f.plan(t)
	if strings.Contains(fmt.Sprint(p.Changes), id) || !strings.Contains(fmt.Sprint(p.Notes), "this account may not list it") {
		t.Errorf("changes %v, notes %v", p.Changes, p.Notes)
	}
	f.opts.Archive = held
	if p := f.plan(t); strings.Contains(fmt.Sprint(p.Notes), "this account may not list it") {
		t.Errorf("a kind that no revision held was asked for: %v", p.Notes)
	}
}

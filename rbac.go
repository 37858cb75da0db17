package crossfade

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/provision"
)

// RBACOptions choose whose roles are printed.
type RBACOptions struct {
	// Side is Blue or Green; empty is both.
	Side string
	// User gets the roles. Empty makes a ServiceAccount in AccountNamespace.
	User string
	// Blue and Green are how the sides are read, where not as the file says: the account that the roles are for may not do so yet.
	Blue, Green InitSide
}

// AccountNamespace holds the ServiceAccounts that the printed roles are bound to.
const AccountNamespace = "crossfade"

// RBAC is the least that the migration's accounts have to be allowed, as objects to apply.
type RBAC struct {
	Migration string      `json:"migration"`
	Sides     []SideRoles `json:"sides"`
}

// SideRoles are the roles of one side.
type SideRoles struct {
	Side string `json:"side"`
	// Account is who gets them: "ServiceAccount crossfade/shop-blue", "User anna".
	Account string `json:"account"`
	// Rules say for each right why it is needed.
	Rules []kube.Rule `json:"rules"`
	// Objects are in the order in which they are to be applied.
	Objects []any    `json:"objects"`
	Notes   []string `json:"notes,omitempty"`

	migration string
	user      string
}

// RBAC derives the least roles of both sides from the file, from what blue holds and from what green serves. It changes nothing.
func (m *Migration) RBAC(ctx context.Context, opts RBACOptions) (*RBAC, error) {
	if opts.Side != "" && opts.Side != Blue && opts.Side != Green {
		return nil, &UnknownError{Kind: "side", Name: opts.Side, Known: "there are blue and green"}
	}
	for side, at := range map[string]InitSide{Blue: opts.Blue, Green: opts.Green} {
		if err := m.readAs(side, at); err != nil {
			return nil, err
		}
	}
	s, err := m.see(ctx)
	if apierrors.IsForbidden(err) {
		return nil, &mend.Error{
			Op: "read what the roles have to cover", Err: err,
			Hint: "let an administrator print them: --blue-kubeconfig and --green-kubeconfig, or --blue-context and --green-context",
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read what the roles have to cover: %w", err)
	}
	for _, r := range s.blue.Refusals {
		if strings.HasPrefix(r.What, "list ") || strings.HasPrefix(r.What, "read ") {
			r.Mend = "let an administrator print them: --blue-kubeconfig or --blue-context"
			return nil, &RefusedError{Stage: "doctor --rbac", Refusals: []plan.Refusal{r}}
		}
	}
	rights, err := m.rights(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("read what the roles have to cover: %w", err)
	}
	out := &RBAC{Migration: m.file.Name}
	for _, side := range []string{Blue, Green} {
		if opts.Side != "" && opts.Side != side {
			continue
		}
		roles := SideRoles{Side: side, Rules: rulesOf(side, rights), migration: m.file.Name, user: opts.User}
		if side == Green {
			if err := m.withNamespaces(ctx, s, &roles); err != nil {
				return nil, err
			}
		}
		roles.bind()
		roles.Notes = append(roles.Notes, s.notes(ctx, side)...)
		out.Sides = append(out.Sides, roles)
	}
	return out, nil
}

// withNamespaces adds the namespaces that green does not have yet: roles in a namespace need it, and whoever has them then
// needs no right to make namespaces, or to read Secrets anywhere else.
func (m *Migration) withNamespaces(ctx context.Context, s *sight, roles *SideRoles) error {
	blue, err := m.side(Blue)
	if err != nil {
		return err
	}
	for _, from := range slices.Sorted(maps.Keys(s.missing)) {
		was, err := blue.Typed.CoreV1().Namespaces().Get(ctx, from, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue // preflight refuses it
		}
		if err != nil {
			return fmt.Errorf("read namespace %s of blue: %w", from, err)
		}
		ns := provision.Manifest(was, s.missing[from], m.file.Name)
		ns.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}
		roles.Objects = append(roles.Objects, plainObject(ns))
	}
	return nil
}

// notes are what no role can settle.
func (s *sight) notes(ctx context.Context, side string) []string {
	if side == Blue {
		return nil
	}
	var out []string
	for _, e := range s.blue.Index().Entries {
		if e.Kind != "ClusterRole" || e.Group != rbacv1.GroupName {
			continue
		}
		obj, err := s.blue.Object(ctx, e)
		if err == nil && obj.Object["aggregationRule"] != nil {
			out = append(out, "ClusterRole "+e.Name+" gathers other roles: only an account that may do everything can write it. Have an administrator make it on green first, as blue has it.")
		}
	}
	return out
}

func (r *SideRoles) labels() map[string]string {
	return map[string]string{kube.LabelMigration: r.migration, kube.LabelComponent: kube.ComponentRights}
}

func (r *SideRoles) meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: r.labels()}
}

// bind makes the account, a role for each place in which there are rules, and its binding.
func (r *SideRoles) bind() {
	name := "crossfade-" + r.migration + "-" + r.Side
	subject := rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: r.user}
	r.Account = "User " + r.user
	if r.user == "" {
		account := r.migration + "-" + r.Side
		subject = rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: AccountNamespace, Name: account}
		r.Account = "ServiceAccount " + AccountNamespace + "/" + account
		r.Objects = append(r.Objects,
			plainObject(&corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: AccountNamespace}}),
			&corev1.ServiceAccount{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: r.meta(AccountNamespace, account)})
	}
	typed := func(kind string) metav1.TypeMeta {
		return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind}
	}
	places := map[string][]rbacv1.PolicyRule{}
	for _, rule := range r.Rules {
		places[rule.Namespace] = append(places[rule.Namespace], rbacv1.PolicyRule{
			APIGroups: rule.Groups, Resources: rule.Resources, ResourceNames: rule.Names, NonResourceURLs: rule.URLs, Verbs: rule.Verbs,
		})
	}
	for _, ns := range slices.Sorted(maps.Keys(places)) {
		if ns == "" {
			r.Objects = append(r.Objects,
				&rbacv1.ClusterRole{TypeMeta: typed("ClusterRole"), ObjectMeta: r.meta("", name), Rules: places[ns]},
				&rbacv1.ClusterRoleBinding{
					TypeMeta: typed("ClusterRoleBinding"), ObjectMeta: r.meta("", name), Subjects: []rbacv1.Subject{subject},
					RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
				})
			continue
		}
		r.Objects = append(r.Objects,
			&rbacv1.Role{TypeMeta: typed("Role"), ObjectMeta: r.meta(ns, name), Rules: places[ns]},
			&rbacv1.RoleBinding{
				TypeMeta: typed("RoleBinding"), ObjectMeta: r.meta(ns, name), Subjects: []rbacv1.Subject{subject},
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			})
	}
}

// Print writes the objects as YAML for kubectl apply, each rule with the reasons for it.
func (r *RBAC) Print(w io.Writer) error {
	out := &printer{w: w}
	for _, side := range r.Sides {
		side.print(out)
	}
	return out.err
}

func (r *SideRoles) print(out *printer) {
	out.f("# The least rights of migration %s on %s, for %s.\n", r.migration, r.Side, r.Account)
	out.f("# An administrator of %s prints and applies them: crossfade doctor --rbac --side %s … | kubectl apply -f -\n", r.Side, r.Side)
	for _, n := range r.Notes {
		out.f("#\n# NOTE: %s\n", n)
	}
	if r.user == "" {
		out.f(kubeconfigHelp, r.Side, r.migration+"-"+r.Side, AccountNamespace)
	}
	for _, obj := range r.Objects {
		out.f("---\n")
		switch role := obj.(type) {
		case *rbacv1.ClusterRole:
			r.printRole(out, role.TypeMeta, role.ObjectMeta)
		case *rbacv1.Role:
			r.printRole(out, role.TypeMeta, role.ObjectMeta)
		default:
			raw, err := yaml.Marshal(obj)
			if err != nil && out.err == nil {
				out.err = fmt.Errorf("write a manifest: %w", err)
			}
			out.f("%s", block(raw))
		}
	}
}

// plainObject is a namespace without the empty parts that its type writes.
func plainObject(ns *corev1.Namespace) map[string]any {
	meta := map[string]any{"name": ns.Name}
	if len(ns.Labels) > 0 {
		meta["labels"] = ns.Labels
	}
	if len(ns.Annotations) > 0 {
		meta["annotations"] = ns.Annotations
	}
	return map[string]any{"apiVersion": ns.APIVersion, "kind": ns.Kind, "metadata": meta}
}

// kubeconfigHelp takes the side, the account and its namespace.
const kubeconfigHelp = `#
# A kubeconfig for the account, once the roles are applied. The token ends after its duration (the server may allow less); a
# run that meets its end stops, and goes on with a new one.
#   K=%[1]s.kubeconfig
#   (umask 077; kubectl config view --minify --flatten --raw >$K)   # it holds your credentials until the last line
#   kubectl --kubeconfig=$K config set-credentials %[2]s --token="$(kubectl -n %[3]s create token %[2]s --duration=720h)"
#   kubectl --kubeconfig=$K config set-context --current --user=%[2]s
#   kubectl --kubeconfig=$K config view -o jsonpath='{.users[*].name}' | tr ' ' '\n' | grep -vx %[2]s |
#     xargs -rn1 kubectl --kubeconfig=$K config delete-user
`

func (r *SideRoles) printRole(out *printer, typed metav1.TypeMeta, meta metav1.ObjectMeta) {
	out.f("apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n", typed.APIVersion, typed.Kind, plainYAML(meta.Name))
	if meta.Namespace != "" {
		out.f("  namespace: %s\n", plainYAML(meta.Namespace))
	}
	out.f("  labels:\n")
	for _, name := range slices.Sorted(maps.Keys(meta.Labels)) {
		out.f("    %s: %s\n", name, plainYAML(meta.Labels[name]))
	}
	out.f("rules:\n")
	for _, rule := range r.Rules {
		if rule.Namespace != meta.Namespace {
			continue
		}
		for _, why := range rule.Why {
			out.f("# %s\n", why)
		}
		lead := "- "
		for _, part := range []struct {
			name   string
			values []string
		}{{"apiGroups", rule.Groups}, {"resources", rule.Resources}, {"nonResourceURLs", rule.URLs}, {"resourceNames", rule.Names}, {"verbs", rule.Verbs}} {
			if len(part.values) > 0 {
				out.f("%s%s: %s\n", lead, part.name, listYAML(part.values))
				lead = "  "
			}
		}
	}
}

func listYAML(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = plainYAML(v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// plainWord needs no quotes in YAML, whoever reads it.
var plainWord = regexp.MustCompile(`^[a-z][-a-z0-9./]*$`)

func plainYAML(s string) string {
	if plainWord.MatchString(s) && !slices.Contains([]string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}, s) {
		return s
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return `""` // a string can always be marshalled
	}
	return string(raw)
}

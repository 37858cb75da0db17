package e2e_test

import (
	"cmp"
	"context"
	cryptorand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/e2e/demo"
	"github.com/crossfade-project/crossfade/e2e/rig"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
)

// roles are what was seen of the account that runs the demo, between the giving of its roles and the run.
type roles struct {
	user   map[string]string   // by side
	groups map[string][]string // by side
	// may is what it may do and no printed rule says.
	may []string
	// taken are the rules that were taken away, one at a time; passed are those without which a run was not refused.
	seed   string
	taken  int
	passed []string
}

// envRights is "all", or a seed that chooses which rules are taken away; see cmd/crossfade/rights_test.go.
const envRights = "CROSSFADE_RIGHTS"

// takenAway is how many rules of a side are taken away where not all are.
const takenAway = 5

// outside are rights that no migration of the demo needs, by side.
func outside() map[string][]kube.Rule {
	rule := func(namespace, group, resource string, verbs ...string) kube.Rule {
		return kube.Rule{Namespace: namespace, Groups: []string{group}, Resources: []string{resource}, Verbs: verbs}
	}
	const rbac = "rbac.authorization.k8s.io"
	both := []kube.Rule{
		rule("", "*", "*", "*"), rule("", "", "secrets", "get", "list"), rule("kube-system", "", "secrets", "get", "list"),
		rule("demo", "", "pods", "create", "delete"), rule("demo", "", "pods/exec", "create"), rule("demo", "", "serviceaccounts/token", "create"),
		rule("kube-system", "", "serviceaccounts/token", "create"), rule("", "", "nodes", "patch"), rule("", "", "nodes/proxy", "get"),
		rule("", rbac, "clusterroles", "create", "bind", "escalate"), rule("", rbac, "clusterrolebindings", "create", "patch"),
		rule("demo", rbac, "roles", "escalate"), rule("", "", "users", "impersonate"), rule("", "", "namespaces", "create", "list", "delete"),
		rule("", "", "persistentvolumes", "delete"),
	}
	return map[string][]kube.Rule{
		"blue":  append(both, rule("demo", "apps", "deployments", "create", "patch", "delete"), rule("demo", "", "secrets", "patch", "delete"), rule("demo", "", "services", "patch")),
		"green": append(both, rule("kube-system", "", "pods", "create"), rule("", "apiextensions.k8s.io", "customresourcedefinitions", "delete")),
	}
}

// lookAtRoles asks both servers who runs the demo, and what he may do; and takes rules away to see that a run is refused.
func (w *world) lookAtRoles(ctx context.Context, r *rig.Rig, top, binary string) error {
	w.roles = roles{user: map[string]string{}, groups: map[string][]string{}, seed: cmp.Or(os.Getenv(envRights), cryptorand.Text()[:8])}
	path, err := demo.MigrationFile(top, r)
	if err != nil {
		return err
	}
	file, err := crossfade.Load(path)
	if err != nil {
		return err
	}
	for side, kubeconfig := range map[string]string{"blue": file.Blue.Kubeconfig, "green": file.Green.Kubeconfig} {
		operator, err := kube.Connect(kube.Options{Kubeconfig: file.Resolve(kubeconfig)})
		if err != nil {
			return err
		}
		if err := w.askWho(ctx, side, operator); err != nil {
			return err
		}
		if err := w.takeAway(ctx, r.Info().Side(side), operator, binary, path, r.Info().PrintRoles(side)); err != nil {
			return fmt.Errorf("take rules of %s away: %w", side, err)
		}
	}
	return nil
}

func (w *world) askWho(ctx context.Context, side string, operator *kube.Client) error {
	who, err := operator.Typed.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("ask %s who runs the demo: %w", side, err)
	}
	w.roles.user[side], w.roles.groups[side] = who.Status.UserInfo.Username, who.Status.UserInfo.Groups
	for _, rule := range outside()[side] {
		missing, err := operator.Holds(ctx, rule)
		if err != nil {
			return err
		}
		if len(missing) < len(rule.Verbs) {
			w.roles.may = append(w.roles.may, fmt.Sprintf("on %s: %v %v in %q, but for %v", side, rule.Verbs, rule.Resources, rule.Namespace, missing))
		}
	}
	return nil
}

// takeAway takes rules of one side away, one at a time, and plans.
func (w *world) takeAway(ctx context.Context, side *rig.SideInfo, operator *kube.Client, binary, file string, print []string) error {
	raw, err := exec.CommandContext(ctx, binary, append(print, "-f", file, "-o", "json")...).Output()
	if err != nil {
		return fmt.Errorf("print the roles: %w", err)
	}
	var printed crossfade.RBAC
	if err := json.Unmarshal(raw, &printed); err != nil {
		return fmt.Errorf("read the roles: %w", err)
	}
	admin, err := kube.Connect(kube.Options{Kubeconfig: side.Kubeconfig})
	if err != nil {
		return err
	}
	own := slices.DeleteFunc(slices.Clone(printed.Sides[0].Rules), neighbours)
	for _, rule := range chosen(own, w.roles.seed, side.Name) {
		w.roles.taken++
		back, err := kubetest.TakeAway(ctx, admin, "crossfade-demo-"+side.Name, rule)
		if err != nil {
			return err
		}
		if err := until(ctx, operator, rule, false); err != nil {
			return err
		}
		refused, out, err := planned(ctx, binary, file)
		if !refused {
			// A server's own list of its kinds can be behind for a moment where kinds were just made: one more plan decides.
			refused, out, err = planned(ctx, binary, file)
		}
		if !refused {
			w.roles.passed = append(w.roles.passed, fmt.Sprintf("on %s: %v %v of %q in %q: %v\n%s", side.Name, rule.Verbs, rule.Resources, rule.Groups, rule.Namespace, err, out))
		}
		if err := back(); err != nil {
			return err
		}
		if err := until(ctx, operator, rule, true); err != nil {
			return err
		}
	}
	return nil
}

// planned plans, and reports whether that was refused.
func planned(ctx context.Context, binary, file string) (refused bool, out []byte, err error) {
	out, err = exec.CommandContext(ctx, binary, "plan", "-f", file).CombinedOutput()
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == 3, out, err
}

// neighbours reports whether a rule is about the kind of a scene that is played beside the demo, which comes and goes.
func neighbours(rule kube.Rule) bool {
	return slices.ContainsFunc(rule.Groups, func(group string) bool {
		return strings.HasSuffix(group, ".crossfade.example") && group != "demo.crossfade.example"
	})
}

// chosen are the rules to be taken away.
func chosen(rules []kube.Rule, seed, side string) []kube.Rule {
	if seed == "all" {
		return rules
	}
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, seed, side) // a hash takes everything
	rules = slices.Clone(rules)
	rand.New(rand.NewPCG(h.Sum64(), 1)).Shuffle(len(rules), func(i, k int) { rules[i], rules[k] = rules[k], rules[i] })
	return rules[:min(takenAway, len(rules))]
}

// until waits until the server goes by a role as it is now.
func until(ctx context.Context, operator *kube.Client, rule kube.Rule, held bool) error {
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute)
	defer stop()
	for {
		missing, err := operator.Holds(ctx, rule)
		if err != nil || held == (len(missing) == 0) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server does not go by %v %v: %w", rule.Verbs, rule.Resources, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestTheDemoIsRunUnderThePrintedRolesAndNothingElse(t *testing.T) {
	w := migrated(t)
	for _, side := range []string{"blue", "green"} {
		if w.roles.user[side] != rig.OperatorUser {
			t.Errorf("on %s it is run by %q; want %q", side, w.roles.user[side], rig.OperatorUser)
		}
		if got := w.roles.groups[side]; !slices.Equal(got, []string{"system:authenticated"}) {
			t.Errorf("on %s its account is in the groups %v", side, got)
		}
	}
	for _, what := range w.roles.may {
		t.Errorf("its account may do what no printed rule says, %s", what)
	}
}

func TestTheDemoIsRefusedWithoutAnyOneOfThePrintedRules(t *testing.T) {
	w := migrated(t)
	t.Logf("%d rules were taken away, one at a time, chosen by %s=%s", w.roles.taken, envRights, w.roles.seed)
	if w.roles.taken < 2*takenAway {
		t.Errorf("only %d rules were taken away", w.roles.taken)
	}
	if len(w.roles.passed) > 0 {
		t.Errorf("without these a run is not refused:\n%s", strings.Join(w.roles.passed, "\n"))
	}
}

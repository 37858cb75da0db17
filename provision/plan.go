package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// parallel is how many kinds are listed at once.
const parallel = 16

// namespaceData is the Data of a change that makes or adopts a namespace.
type namespaceData struct {
	Blue        string            `json:"blue"`
	Name        string            `json:"name"`
	UID         string            `json:"uid,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Plan reads both sides and returns one change for each namespace that is to be made on green or adopted there.
//
//	on green now                | change
//	nothing                     | create, with the labels and annotations of blue's
//	ours                        | none
//	foreign, empty              | none: it is used, and stays its owner's
//	foreign, not empty          | refused; with Shared none; with Adopt it gets our label
//	being deleted               | refused
//	the namespace of blue itself | refused
func Plan(ctx context.Context, opts Options) (*plan.Plan, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	p := plan.New(opts.Migration, opts.Stage)
	onePlace, err := sameCluster(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("plan green's namespaces: %w", err)
	}
	from := map[string]string{}
	for _, blue := range opts.moving() {
		green := opts.Namespaces[blue]
		if other, taken := from[green]; taken {
			p.Refuse("namespace "+blue, fmt.Sprintf("it would go to %s, where %s goes already", green, other), "map each to a name of its own under maps.namespaces")
			continue
		}
		from[green] = blue
		if onePlace && (green == blue || opts.Namespaces[green] != "") {
			p.Refuse("namespace "+blue, "blue and green are one cluster, and "+green+" is a namespace of blue's: it would be written onto itself", "map the namespace to another name under maps.namespaces")
			continue
		}
		if err := planNamespace(ctx, opts, p, blue, green); err != nil {
			return nil, fmt.Errorf("plan namespace %s: %w", green, err)
		}
	}
	if err := mayCreate(ctx, opts, p); err != nil {
		return nil, fmt.Errorf("plan green's namespaces: %w", err)
	}
	if err := firstSight(ctx, opts, p); err != nil {
		return nil, fmt.Errorf("look at green's nodes: %w", err)
	}
	return p, nil
}

func sameCluster(ctx context.Context, opts Options) (bool, error) {
	blue, err := opts.Blue.Identity(ctx)
	if err != nil {
		return false, fmt.Errorf("ask blue who it is: %w", err)
	}
	green, err := opts.Green.Identity(ctx)
	if err != nil {
		return false, fmt.Errorf("ask green who it is: %w", err)
	}
	return blue.UID == green.UID, nil
}

func planNamespace(ctx context.Context, opts Options, p *plan.Plan, blue, green string) error {
	was, err := opts.Blue.Typed.CoreV1().Namespaces().Get(ctx, blue, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		p.Refuse("namespace "+blue, "blue has none of this name", "correct the application's namespace")
		return nil
	}
	if err != nil {
		return fmt.Errorf("read blue's %s: %w", blue, err)
	}
	data := namespaceData{Blue: blue, Name: green, Labels: copied(was.Labels), Annotations: copied(was.Annotations)}
	live, err := opts.Green.Typed.CoreV1().Namespaces().Get(ctx, green, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		p.Add(plan.Change{
			ID: opts.Stage + "/Namespace/" + green, Action: ActionCreate, Target: "green: Namespace " + green,
			Why:      "the applications of blue's " + blue + " go there, with its labels and annotations",
			ReliesOn: []plan.Reliance{{What: "Namespace " + green + " on green", Is: "absent"}},
			Reverse:  &plan.Reverse{Action: ActionDelete, How: "delete it, if it is still this migration's"},
			Data:     plan.JSON(data),
		})
		return nil
	}
	if err != nil {
		return fmt.Errorf("read green's: %w", err)
	}
	switch {
	case live.DeletionTimestamp != nil:
		p.Refuse("namespace "+green, "it is being deleted on green", "wait until it is gone: "+hanging(live))
	case ours(live.Labels, opts.Migration):
		notePodSecurity(p, green, data.Labels, live.Labels)
	default:
		data.UID = string(live.UID)
		return planForeign(ctx, opts, p, live, data)
	}
	return nil
}

func planForeign(ctx context.Context, opts Options, p *plan.Plan, live *corev1.Namespace, data namespaceData) error {
	held, err := contents(ctx, opts, live.Name)
	if err != nil {
		return err
	}
	switch {
	case len(held) == 0:
		p.Note(plan.Info, "namespace "+live.Name, "it is on green already and empty: it is used, and stays its owner's")
	case opts.Adopt:
		p.Add(plan.Change{
			ID: opts.Stage + "/Namespace/" + live.Name, Action: ActionAdopt, Target: "green: Namespace " + live.Name,
			Why:      "it is on green already with contents, and it was said to adopt it; nothing in it is touched",
			ReliesOn: []plan.Reliance{{What: "uid of Namespace " + live.Name, Is: string(live.UID)}},
			Reverse:  &plan.Reverse{Action: ActionAdopt, How: "take the label " + kube.LabelMigration + " away"},
			Data:     plan.JSON(data),
		})
	case opts.Shared:
		p.Note(plan.Warning, "namespace "+live.Name, fmt.Sprintf("it is on green already and holds %s: it is used, and stays its owner's", strings.Join(held, ", ")))
	default:
		p.Refuse("namespace "+live.Name, fmt.Sprintf("it is on green already, is not this migration's and holds %s", strings.Join(held, ", ")),
			"map blue's namespace to another name under maps.namespaces, or say what is to happen to what is there under restore.conflicts")
	}
	notePodSecurity(p, live.Name, data.Labels, live.Labels)
	return nil
}

// notePodSecurity says where an existing namespace admits other pods than blue's.
func notePodSecurity(p *plan.Plan, name string, blue, green map[string]string) {
	for _, mode := range []string{"enforce", "audit", "warn"} {
		label := "pod-security.kubernetes.io/" + mode
		if blue[label] != green[label] {
			p.Note(plan.Warning, "namespace "+name, fmt.Sprintf("%s is %q on green and %q on blue", label, green[label], blue[label]))
		}
	}
}

// copied are blue's labels or annotations without what its servers wrote for themselves.
func copied(in map[string]string) map[string]string {
	out := map[string]string{}
	for name, value := range in {
		switch {
		case name == corev1.LabelMetadataName, name == kube.LabelMigration, name == corev1.LastAppliedConfigAnnotation,
			strings.HasPrefix(name, "openshift.io/sa.scc."), strings.HasPrefix(name, "field.cattle.io/"), strings.HasPrefix(name, "lifecycle.cattle.io/"):
		default:
			out[name] = value
		}
	}
	return out
}

// looked reports whether contents reads a kind.
func looked(r kube.Resource) bool { return r.Namespaced && r.Can("list") && !ignored(r) }

// contents lists up to a few objects of a namespace that no controller of Kubernetes made by itself and that are not ours.
func contents(ctx context.Context, opts Options, namespace string) ([]string, error) {
	resources, dead, err := opts.Green.Resources(ctx)
	if err != nil {
		return nil, fmt.Errorf("look what it holds: %w", err)
	}
	if len(dead) > 0 {
		return []string{"what " + dead[0].GroupVersion + " does not show, since it does not answer"}, nil
	}
	var (
		mu   sync.Mutex
		held []string
	)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, r := range resources {
		if !looked(r) {
			continue
		}
		group.Go(func() error {
			for obj, err := range opts.Green.List(gctx, r, namespace, "") {
				if err != nil {
					return fmt.Errorf("look what it holds: %w", err)
				}
				if made(obj) || ours(obj.GetLabels(), opts.Migration) {
					continue
				}
				mu.Lock()
				held = append(held, obj.GetKind()+" "+obj.GetName())
				mu.Unlock()
				break
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.Sort(held)
	return held[:min(len(held), 5)], nil
}

func ignored(r kube.Resource) bool {
	return r.Resource == "events" || r.Group == "metrics.k8s.io" || (r.Group == "coordination.k8s.io" && r.Resource == "leases")
}

// made reports whether every namespace gets such an object from its cluster.
func made(obj *unstructured.Unstructured) bool {
	switch obj.GetKind() {
	case "ServiceAccount":
		return slices.Contains([]string{"default", "builder", "deployer"}, obj.GetName())
	case "ConfigMap":
		return slices.Contains([]string{"kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"}, obj.GetName())
	case "Secret":
		kind, _, err := unstructured.NestedString(obj.Object, "type")
		return err == nil && kind == string(corev1.SecretTypeServiceAccountToken)
	case "RoleBinding":
		return strings.HasPrefix(obj.GetName(), "system:")
	}
	return len(obj.GetOwnerReferences()) > 0
}

func mayCreate(ctx context.Context, opts Options, p *plan.Plan) error {
	if len(p.Changes) == 0 {
		return nil
	}
	r, err := opts.Green.ResourceFor(ctx, "", "Namespace")
	if err != nil {
		return err
	}
	for verb, action := range map[string]plan.Action{"create": ActionCreate, "patch": ActionAdopt} {
		if !slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Action == action }) {
			continue
		}
		ok, why, err := opts.Green.Allowed(ctx, verb, r, "")
		if err != nil {
			return err
		}
		if !ok {
			p.Refuse("green: "+verb+" namespaces", strings.TrimSpace("this account may not "+why), "give the account of green's kubeconfig the right, or make the namespaces by hand")
		}
	}
	return nil
}

// firstSight notes what green's nodes look like; restore counts their room.
func firstSight(ctx context.Context, opts Options, p *plan.Plan) error {
	nodes, err := opts.Green.Typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		p.Note(plan.Warning, "green: nodes", "this account may not list them: their room is not known")
		return nil
	}
	if err != nil {
		return err
	}
	usable := 0
	for _, n := range nodes.Items {
		ready := slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
		if ready && !n.Spec.Unschedulable {
			usable++
		}
	}
	if usable == 0 {
		p.Note(plan.Warning, "green: nodes", fmt.Sprintf("none of %d is ready and schedulable: nothing would run there now", len(nodes.Items)))
	}
	classes, err := opts.Green.Typed.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil && !apierrors.IsForbidden(err) {
		return err
	}
	if err == nil && len(classes.Items) == 0 {
		p.Note(plan.Info, "green: storage", "it has no StorageClass: no claim can be bound there")
	}
	return nil
}

var errUnknown = errors.New("the action is unknown to this version")

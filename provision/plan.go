package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// createData is what creating a namespace consumes.
type createData struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Plan reads the namespaces of both sides and plans to create those that green lacks, with blue's labels and annotations:
// pod security, for one, stands there. It changes nothing.
func Plan(ctx context.Context, opts Options) (*plan.Plan, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	p := plan.New(opts.Migration, opts.Stage)
	blue, err := opts.Blue.Identity(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask blue who it is: %w", err)
	}
	green, err := opts.Green.Identity(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask green who it is: %w", err)
	}
	for _, ns := range opts.Namespaces {
		if blue.UID == green.UID && ns.Blue == ns.Green {
			p.Refuse("namespace "+ns.Blue, "blue and green are the same cluster, so it would be restored onto itself", "map it to another under maps.namespaces")
			continue
		}
		if err := planNamespace(ctx, opts, p, ns); err != nil {
			return nil, err
		}
	}
	return p, mayCreate(ctx, opts, p)
}

func planNamespace(ctx context.Context, opts Options, p *plan.Plan, ns Namespace) error {
	from, err := opts.Blue.Typed.CoreV1().Namespaces().Get(ctx, ns.Blue, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		p.Refuse("namespace "+ns.Blue, "blue has no such namespace", "correct the applications' namespaces in the migration file")
		return nil
	}
	if err != nil {
		return fmt.Errorf("read namespace %s on blue: %w", ns.Blue, err)
	}
	have, err := opts.Green.Typed.CoreV1().Namespaces().Get(ctx, ns.Green, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		data := createData{Name: ns.Green, Labels: keepLabels(from.Labels), Annotations: keepAnnotations(from.Annotations)}
		p.Add(plan.Change{
			ID: p.Stage + "/namespace/" + ns.Green, Action: ActionCreate, Target: "green: Namespace " + ns.Green,
			Why:      "the applications of blue's namespace " + ns.Blue + " are restored into it",
			ReliesOn: []plan.Reliance{{What: "Namespace " + ns.Green + " on green", Is: "absent"}},
			Reverse:  &plan.Reverse{Action: ActionDelete, How: "delete the namespace, which is this migration's own"},
			Data:     plan.JSON(data),
		})
		return nil
	case err != nil:
		return fmt.Errorf("read namespace %s on green: %w", ns.Green, err)
	case have.Status.Phase == corev1.NamespaceTerminating:
		p.Refuse("namespace "+ns.Green, "it is being deleted on green", "wait until it is gone; a finalizer may hold it")
		return nil
	case have.Labels[kube.LabelMigration] == opts.Migration:
		p.Note(plan.Info, "namespace "+ns.Green, "it is there already, made by this migration")
		return nil
	}
	return judgeForeign(ctx, opts, p, ns.Green)
}

// judgeForeign decides about a namespace of green that somebody else made: an empty one is used, and stays its maker's.
func judgeForeign(ctx context.Context, opts Options, p *plan.Plan, name string) error {
	pods, err := opts.Green.Typed.CoreV1().Pods(name).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return fmt.Errorf("look into namespace %s on green: %w", name, err)
	}
	services, err := opts.Green.Typed.CoreV1().Services(name).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return fmt.Errorf("look into namespace %s on green: %w", name, err)
	}
	if len(pods.Items)+len(services.Items) > 0 && !opts.Adopt {
		p.Refuse("namespace "+name, "green has it already, it is not this migration's and it is not empty", "map the namespace to another under maps.namespaces, or empty it")
		return nil
	}
	p.Note(plan.Warning, "namespace "+name, "green has it already: it is used as it is, and never deleted")
	return nil
}

func mayCreate(ctx context.Context, opts Options, p *plan.Plan) error {
	if len(p.Changes) == 0 {
		return nil
	}
	namespaces, err := opts.Green.ResourceFor(ctx, "", "Namespace")
	if err != nil {
		return fmt.Errorf("find out how green serves namespaces: %w", err)
	}
	ok, reason, err := opts.Green.Allowed(ctx, "create", namespaces, "")
	if err != nil {
		return fmt.Errorf("ask green for the right to create namespaces: %w", err)
	}
	if !ok {
		p.Refuse("green", "these credentials may not create namespaces: "+reason, "grant create on namespaces, or make the namespaces yourself, empty")
	}
	return nil
}

// keepLabels drops what the API server sets by itself.
func keepLabels(labels map[string]string) map[string]string {
	out := maps.Clone(labels)
	delete(out, corev1.LabelMetadataName)
	delete(out, kube.LabelMigration)
	return out
}

// keepAnnotations drops what belongs to blue's cluster or to the tools that wrote to it.
func keepAnnotations(annotations map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range annotations {
		if k == corev1.LastAppliedConfigAnnotation || k == kube.AnnotationContent || strings.HasPrefix(k, "openshift.io/sa.scc.") {
			continue
		}
		out[k] = v
	}
	return out
}

// Apply creates the planned namespaces.
func Apply(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts Options) (Result, error) {
	if err := opts.check(); err != nil {
		return Result{}, err
	}
	err := plan.Run(ctx, p, rec, plan.RunOptions{Observer: opts.Observer}, func(ctx context.Context, c plan.Change) (any, error) {
		var data createData
		if err := json.Unmarshal(c.Data, &data); err != nil {
			return nil, fmt.Errorf("read the plan: %w", err)
		}
		return struct{}{}, create(ctx, opts, c, data)
	})
	if err != nil {
		return Result{}, err
	}
	return Result{Created: len(p.Changes), Found: len(opts.Namespaces) - len(p.Changes)}, nil
}

// create makes a namespace. One that is there with our label was made by a run that was killed before it could say so.
func create(ctx context.Context, opts Options, c plan.Change, data createData) error {
	labels := maps.Clone(data.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[kube.LabelMigration] = opts.Migration
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: data.Name, Labels: labels, Annotations: data.Annotations}}
	_, err := opts.Green.Typed.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	have, err := opts.Green.Typed.CoreV1().Namespaces().Get(ctx, data.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the namespace that is there already: %w", err)
	}
	if have.Labels[kube.LabelMigration] != opts.Migration {
		return &plan.MovedError{Change: c.ID, What: "Namespace " + data.Name + " on green", Was: "absent", Now: "made by somebody else"}
	}
	return nil
}

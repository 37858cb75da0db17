package cutover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/kube"
)

// judgePaused demands that nothing contradicts what the file says: that somebody has stopped external-dns, or that Crossfade is
// to stop the Deployments that it names.
func (k *dnsKeepers) judgePaused(ctx context.Context, s NameState, found *Inspection) {
	for _, side := range []string{sideBlue, sideGreen} {
		all, err := k.on(ctx, side)
		if err != nil {
			found.warn(s.Hostname, fmt.Sprintf("the file says that external-dns is paused; on %s that could not be looked up: %v", side, err))
			continue
		}
		for _, i := range all {
			if i.active(s.Hostname) {
				k.refuseActive(ctx, s.Hostname, i, found)
			}
		}
	}
	for _, o := range s.Owners {
		found.warn(s.Hostname, fmt.Sprintf("external-dns's record of it stays with its owner %s: where that one is started again after the swap, it takes the name back to its own side", o))
	}
}

// refuseActive refuses a name that a running external-dns concerns, unless it is still to be stopped.
func (k *dnsKeepers) refuseActive(ctx context.Context, name string, i Installation, found *Inspection) {
	named := k.isNamed(ctx, i)
	switch {
	case named && !k.stopped:
	case named:
		found.refuse(name, "external-dns runs again, although it was paused: "+i.String(), mendRunsAgain)
	case k.declared().Pause != nil:
		found.refuse(name, "external-dns runs on "+i.String()+", and the file does not name it under cutover.externalDNS.pause",
			fmt.Sprintf("add %s/%s to cutover.externalDNS.pause.%s, scale it to 0, or give it a --domain-filter that leaves the name out", i.Namespace, i.Name, i.Side))
	default:
		found.refuse(name, "the file says that external-dns is paused, and it runs on "+i.String(), "scale it to 0, or give it a --domain-filter that leaves the name out")
	}
}

const mendRunsAgain = "find out who or what has scaled it up (an autoscaler, GitOps), scale it to 0 again, and go on with `crossfade run`"

// isNamed says whether the file names an installation under pause, on its own side or, in one cluster, on the other.
func (k *dnsKeepers) isNamed(ctx context.Context, i Installation) bool {
	ref, pause := i.Namespace+"/"+i.Name, k.declared().Pause
	if slices.Contains(pause.On(i.Side), ref) {
		return true
	}
	other := sideBlue
	if i.Side == sideBlue {
		other = sideGreen
	}
	if !slices.Contains(pause.On(other), ref) {
		return false
	}
	there, _ := k.on(ctx, other) // what cannot be read names nothing
	return slices.ContainsFunc(there, func(x Installation) bool { return x.uid == i.uid && x.Namespace+"/"+x.Name == ref })
}

// judgeNamed refuses what the file names under pause and is no external-dns that may be stopped, and warns of what would start
// it again. It changes nothing.
func (k *dnsKeepers) judgeNamed(ctx context.Context, found *Inspection) {
	for _, n := range k.opts.named() {
		d, err := k.opts.readKeeper(ctx, n)
		if err != nil {
			why, mend := refusalOf(err)
			found.refuse(n.String(), why, mend)
			continue
		}
		i, ok := installationOf(*d, n.Side)
		if !ok {
			found.refuse(n.String(), "the file names it as external-dns, and none of its containers runs that (neither an image of that name, nor "+ownerArgument+")",
				"correct cutover.externalDNS.pause."+n.Side)
			continue
		}
		if app := k.opts.owns(n.Side, *d); app != "" {
			found.refuse(n.String(), "it belongs to application "+app+", whose objects are moved: stopped, it would be archived and made on green as stopped",
				"let the application's selector leave it out, or stop it yourself before the migration and say cutover.externalDNS.paused: true")
		}
		if !slices.ContainsFunc(k.opts.hostnames(), i.Concerns) {
			found.warn(n.String(), "its --domain-filter leaves out all names of the file: it could go on running, and cutover.externalDNS.pause need not name it")
		}
		k.warnScaled(ctx, n, d, found)
	}
}

func refusalOf(err error) (why, mend string) {
	if errors.Is(err, errNoDeployment) {
		return "the file names it under cutover.externalDNS.pause, and it does not exist", "correct the name: NAMESPACE/NAME of its Deployment; take it out where external-dns does not run"
	}
	return fmt.Sprintf("it is to be paused, and could not be read: %v", err), "make the cluster reachable, and give the account its rights: crossfade doctor --rbac prints them"
}

// warnScaled tells what keeps a Deployment at its size. It is no refusal: each swap looks whether it still stands still.
func (k *dnsKeepers) warnScaled(ctx context.Context, n deploymentName, d *appsv1.Deployment, found *Inspection) {
	const then = ": should it be scaled up before the last name has moved, the next swap is refused"
	if who, mend := kube.GitOps(d); who != "" {
		found.warn(n.String(), who+" keeps it as its source says"+then+"; "+mend)
	}
	if owner := metav1.GetControllerOf(d); owner != nil {
		found.warn(n.String(), fmt.Sprintf("the operator of %s %s (%s) keeps it at its size%s", owner.Kind, owner.Name, owner.APIVersion, then))
	}
	list, err := k.opts.side(n.Side).Kube.Typed.AutoscalingV2().HorizontalPodAutoscalers(n.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		found.warn(n.String(), fmt.Sprintf("whether an autoscaler keeps it at its size could not be looked up: %v%s", err, then))
		return
	}
	for _, h := range list.Items {
		if h.Spec.ScaleTargetRef.Kind != "Deployment" || h.Spec.ScaleTargetRef.Name != n.Name {
			continue
		}
		who := "HorizontalPodAutoscaler " + h.Name
		if owner := metav1.GetControllerOf(&h); owner != nil {
			who = owner.Kind + " " + owner.Name // KEDA's: it makes the autoscaler, and scales from 0 by itself
		}
		found.warn(n.String(), who+" scales it"+then)
	}
}

// owns returns the application that has a Deployment among its objects, by the rule of the export: its namespace and selector.
func (o Options) owns(side string, d appsv1.Deployment) string {
	for _, app := range o.Applications {
		if o.side(side).namespace(app.Namespace) != d.Namespace {
			continue
		}
		if s, err := labels.Parse(app.Selector); err == nil && s.Matches(labels.Set(d.Labels)) {
			return app.Name
		}
	}
	return ""
}

// hostnames are all names of the file that a zone holds, as it writes them. What is no name is refused where entries are found.
func (o Options) hostnames() []string {
	var names []string
	for _, app := range o.Applications {
		for _, h := range app.Hostnames {
			if name, err := dnsx.Canonical(h.Name); err == nil && !h.AtBackend() {
				names = append(names, name)
			}
		}
	}
	return names
}

// deploymentName is a Deployment that the file names under pause.
type deploymentName struct{ Side, Namespace, Name string }

// String is the Deployment as a person names it.
func (n deploymentName) String() string {
	return fmt.Sprintf("%s: Deployment %s/%s", n.Side, n.Namespace, n.Name)
}

// named lists what the file names under pause.
func (o Options) named() []deploymentName {
	if o.Times.ExternalDNS == nil {
		return nil
	}
	var list []deploymentName
	for _, side := range []string{sideBlue, sideGreen} {
		for _, ref := range o.Times.ExternalDNS.Pause.On(side) {
			namespace, name, _ := strings.Cut(ref, "/")
			list = append(list, deploymentName{side, namespace, name})
		}
	}
	return list
}

var errNoDeployment = errors.New("it does not exist")

// readKeeper reads a Deployment. Where there is none, the error wraps errNoDeployment.
func (o Options) readKeeper(ctx context.Context, n deploymentName) (*appsv1.Deployment, error) {
	client := o.side(n.Side).Kube
	if client == nil {
		return nil, fmt.Errorf("%s was not asked", n.Side)
	}
	d, err := client.Typed.AppsV1().Deployments(n.Namespace).Get(ctx, n.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%s: %w", n, errNoDeployment)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", n, err)
	}
	return d, nil
}

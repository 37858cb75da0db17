package trial

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// keeperReplicas is how many the trial's external-dns has when nobody has paused it.
const keeperReplicas = 2

// switched is the name that blue's Ingress keeps.
func (t *Trial) switched() string { return "api." + t.Name + "." + strings.TrimSuffix(Zone, ".") }

// standingEntry reads where blue's Ingress leads the name that it keeps, and reports whether that one has its fence.
func (t *Trial) standingEntry(ctx context.Context, s *Standing) (fenced bool, err error) {
	ing, err := t.world.Blue.Client.Typed.NetworkingV1().Ingresses(t.Name).Get(ctx, "api", metav1.GetOptions{})
	if err != nil {
		return false, err
	}
	s.Side["api"] = "mixed"
	leads := map[string][]string{}
	for _, rule := range ing.Spec.Rules {
		for _, path := range rule.HTTP.Paths {
			leads[rule.Host] = append(leads[rule.Host], backendOf(path))
		}
	}
	other := "other." + t.Name + "." + strings.TrimSuffix(Zone, ".")
	to := leads[t.switched()]
	if len(leads) != 2 || !slices.Equal(leads[other], []string{"other:80"}) || len(to) != 1 {
		s.Wrong = append(s.Wrong, fmt.Sprintf("Ingress api leads %v", leads))
		return false, nil
	}
	service, _, _ := strings.Cut(to[0], ":")
	switch {
	case to[0] == "api:http":
		s.Side["api"] = "blue"
	case strings.HasPrefix(service, "crossfade-api-"):
		s.Side["api"] = "green"
		svc, err := t.world.Blue.Client.Typed.CoreV1().Services(t.Name).Get(ctx, service, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return false, err
		}
		if want := "api." + t.Name + "-green.svc.cluster.local"; err != nil || svc.Spec.ExternalName != want {
			s.Wrong = append(s.Wrong, fmt.Sprintf("Ingress api leads to Service %s, which leads to %q, want %s", service, svc.Spec.ExternalName, want))
		}
	default:
		s.Wrong = append(s.Wrong, "Ingress api leads to "+to[0])
	}
	return slices.ContainsFunc(slices.Collect(maps.Keys(ing.Annotations)), func(key string) bool { return strings.HasPrefix(key, fenceAnnotation) }), nil
}

func backendOf(path networkingv1.HTTPIngressPath) string {
	svc := path.Backend.Service
	if svc.Port.Name != "" {
		return svc.Name + ":" + svc.Port.Name
	}
	return fmt.Sprintf("%s:%d", svc.Name, svc.Port.Number)
}

// canary plays a controller that knows canaries: of a hundred requests to a name, as many go to green as the canary's weight says. What it leads
// through must be there.
func (t *Trial) canary(ctx context.Context, name string) (side string) {
	if name != "split" {
		return "blue"
	}
	client := t.world.Blue.Client.Typed
	list, err := client.NetworkingV1().Ingresses(t.Name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return ""
	}
	for _, ing := range list.Items {
		weight, err := strconv.ParseInt(ing.Annotations["nginx.ingress.kubernetes.io/canary-weight"], 10, 64)
		if err != nil || t.asked.Add(1)%100*weight%100 >= weight {
			continue
		}
		service := ing.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name
		if _, err := client.CoreV1().Services(t.Name).Get(ctx, service, metav1.GetOptions{}); err != nil {
			return ""
		}
		return "green"
	}
	return "blue"
}

// holdPaused demands that external-dns stands still as long as a name is not as it was: it would undo the change. At rest it stands still as
// long as there are fences.
func (t *Trial) holdPaused(ctx context.Context, changed bool, s *Standing) error {
	d, err := t.world.Blue.Client.Typed.AppsV1().Deployments(t.Name).Get(ctx, "external-dns", metav1.GetOptions{})
	if err != nil {
		return err
	}
	now := *d.Spec.Replicas
	switch {
	case now != 0 && now != keeperReplicas:
		s.Wrong = append(s.Wrong, fmt.Sprintf("external-dns has %d replicas", now))
	case now > 0 && changed:
		s.Wrong = append(s.Wrong, "external-dns runs while names are not as they were")
	case now == 0 && !s.Fenced:
		s.Unfit = append(s.Unfit, "external-dns stands still, and no name is held")
	}
	return nil
}

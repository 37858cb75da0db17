package cutbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/e2e/score"
	"github.com/crossfade-project/crossfade/e2e/usage"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/kube"
)

// measurePlans lets the command plan the whole migration, between two real API servers. No tool that people use today plans a
// cutover, so that there is no peer; dig with one question for each name at each server stands beside it, as the least that anybody
// who looks at all names must do.
func measurePlans(ctx context.Context, opts Options, dns *names, web *sides, all []app) (_ []score.Verdict, err error) {
	for _, side := range []string{"blue", "green"} {
		c, err := cluster.Light(ctx, cluster.LightOptions{Name: side, Dir: filepath.Join(opts.Dir, side), Log: opts.Log})
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, c.Stop(context.WithoutCancel(ctx))) }()
		if side == "blue" {
			if err := fill(ctx, c, all); err != nil {
				return nil, fmt.Errorf("fill blue: %w", err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(opts.Dir, "migration.yaml"), []byte(migrationFile(dns, web, all)), 0o600); err != nil {
		return nil, err
	}
	questions := filepath.Join(opts.Dir, "questions")
	if err := os.WriteFile(questions, []byte(batch(dns, all)), 0o600); err != nil {
		return nil, err
	}
	opts.Say("plan: %d applications in %d zones, %s plan", len(all), opts.Zones, filepath.Base(opts.Program))
	var wall, dig times
	var most int64
	for round := range opts.Plans {
		u, out, err := usage.Run(ctx, opts.Dir, []string{"TSIG=" + benchKey.Secret}, []string{opts.Program, "plan", "-f", "migration.yaml"})
		if err != nil {
			return nil, err
		}
		if n := strings.Count(string(out), "REFUSED"); n > 0 || !strings.Contains(string(out), "preflight") {
			return nil, fmt.Errorf("the plan is not whole: %d refusals: %s", n, usage.Tail(string(out)))
		}
		d, _, err := usage.Run(ctx, opts.Dir, nil, []string{"dig", "-f", questions})
		if err != nil {
			return nil, err
		}
		opts.Say("  round %d  wall %s  CPU %s  memory %s  (dig, %d questions by UDP: wall %s)",
			round+1, short(u.Wall), short(u.CPU), cli.Bytes(u.Memory), len(all)*len(dns.addrs), short(d.Wall))
		wall, dig, most = append(wall, u.Wall), append(dig, d.Wall), max(most, u.Memory)
	}
	opts.Say("  the plan took %.1f times as long as dig's %d questions (medians)", ratio(wall.at(50), dig.at(50)), len(all)*len(dns.addrs))
	return []score.Verdict{
		{Text: fmt.Sprintf("plan: wall %s (median of %d), less than %s", short(wall.at(50)), len(wall), short(planWall)), Met: wall.at(50) < planWall},
		{Text: fmt.Sprintf("plan: memory %s (the most of %d), less than %s", cli.Bytes(most), len(wall), cli.Bytes(planMemory)), Met: most < planMemory},
	}, nil
}

// batch is what dig reads: one question for each name at each server.
func batch(dns *names, all []app) string {
	var b strings.Builder
	for _, a := range all {
		for _, addr := range dns.addrs {
			fmt.Fprintf(&b, "@%s -p %d +norec %s CNAME\n", addr.Addr(), addr.Port(), a.host)
		}
	}
	return b.String()
}

// namespaceOf is where an application lives: those of one zone share a namespace.
func namespaceOf(a app) string { return strings.TrimSuffix(a.zone, ".test.") }

// fill puts a Deployment and a Service for each application on blue.
func fill(ctx context.Context, c *cluster.Cluster, all []app) error {
	client, err := kube.Connect(kube.Options{Kubeconfig: c.Kubeconfig(), UserAgent: "cutbench"})
	if err != nil {
		return err
	}
	var namespaces []string
	for _, a := range all {
		ns := namespaceOf(a)
		if slices.Contains(namespaces, ns) {
			continue
		}
		namespaces = append(namespaces, ns)
		if _, err := client.Typed.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, a := range all {
		group.Go(func() error {
			labels := map[string]string{"app": a.name}
			meta := metav1.ObjectMeta{Name: a.name, Labels: labels}
			_, err := client.Typed.AppsV1().Deployments(namespaceOf(a)).Create(ctx, &appsv1.Deployment{
				ObjectMeta: meta,
				Spec: appsv1.DeploymentSpec{
					Selector: &metav1.LabelSelector{MatchLabels: labels},
					Template: corev1.PodTemplateSpec{
						ObjectMeta: metav1.ObjectMeta{Labels: labels},
						Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "registry.test/web:1"}}},
					},
				},
			}, metav1.CreateOptions{})
			if err != nil {
				return err
			}
			_, err = client.Typed.CoreV1().Services(namespaceOf(a)).Create(ctx, &corev1.Service{
				ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80}}},
			}, metav1.CreateOptions{})
			return err
		})
	}
	return group.Wait()
}

// migrationFile names every entry itself, since nothing of the clusters serves.
func migrationFile(dns *names, web *sides, all []app) string {
	var b strings.Builder
	b.WriteString(`version: 1
name: bench
reason: version
blue: {kubeconfig: blue/kubeconfig}
green: {kubeconfig: green/kubeconfig}
archive: {url: archive}
state: {directory: state}
cutover: {ttl: 1s, margin: 1s}
applications:
`)
	for _, a := range all {
		fmt.Fprintf(&b, `  - name: %s
    namespace: %s
    selector: app=%s
    wave: %d
    writes: none
    hostnames:
      - {name: %s, port: %d, blue: {target: %s, address: %s}, green: {target: %s, address: %s}}
    checks:
      - {name: page, http: {scheme: http, path: /, contains: hello}}
`, a.name, namespaceOf(a), a.name, 1+a.n/10, a.host, web.port, blueTarget, blueAddr, greenTarget, greenAddr)
	}
	b.WriteString("zones:\n")
	var servers []string
	for _, addr := range dns.addrs {
		servers = append(servers, fmt.Sprintf("%q", addr))
	}
	for _, zone := range dns.zones {
		if zone != targets {
			fmt.Fprintf(&b, "  - {name: %s, rfc2136: {server: %q, key: crossfade, secret: {env: TSIG}}, servers: [%s], resolvers: [%q]}\n",
				zone, dns.addrs[0], strings.Join(servers, ", "), dns.resolver)
		}
	}
	return b.String()
}

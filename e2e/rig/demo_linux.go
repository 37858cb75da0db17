package rig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"filippo.io/age"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/e2e/rig/image"
	"github.com/crossfade-project/crossfade/e2e/rig/process"
	"github.com/crossfade-project/crossfade/examples/demo/manifests"
)

const module = "github.com/crossfade-project/crossfade/"

// demoTTL is what the demo's CNAME records have before the migration lowers it, in seconds.
const demoTTL = 20

// DemoHosts are the demo's applications that answer at a hostname, which is NAME.apps.test.
func DemoHosts() []string { return []string{"happy-bandit", "shop"} }

// DemoImages are the images of the demo's applications, and of the crossfade command itself for the pods that it runs
// on a cluster.
func DemoImages() []Image {
	images := []Image{{
		Name: "crossfade:demo",
		// Such a pod reads the node's connection tracking, which needs root with a capability.
		Spec: image.Spec{Packages: []string{module + "cmd/crossfade"}, User: "0"},
	}}
	for _, app := range manifests.Apps() {
		images = append(images, Image{
			Name: strings.TrimPrefix(manifests.Image("", app), "/"),
			Spec: image.Spec{Packages: []string{module + "examples/demo/apps/" + app}, Ports: []int{8080}},
		})
	}
	return images
}

// demoSteps deploy the demo's applications on blue.
func (r *Rig) demoSteps() []step {
	return []step{
		{"make buckets and keys", r.prepareDemo},
		{"deploy applications on blue", r.deployDemo},
		{"make CNAME records", r.nameDemo},
	}
}

func (r *Rig) prepareDemo(ctx context.Context) error {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("make the archive's key: %w", err)
	}
	if err := r.writeKeys(map[string]string{"archive.key": identity.String()}); err != nil {
		return err
	}
	for _, bucket := range []string{manifests.ShopBucket, manifests.ClockBucket} {
		if err := r.MakeBucket(ctx, bucket); err != nil {
			return err
		}
	}
	return nil
}

// deployDemo applies the manifests and waits until the applications are ready. The kind of one object is served a
// moment after its definition was applied, so that the first tries may fail.
func (r *Rig) deployDemo(ctx context.Context) error {
	keep := func(bucket string) manifests.Store {
		query := url.Values{"endpoint": {r.S3.Endpoint}, "region": {r.S3.Region}}
		return manifests.Store{URL: "s3://" + bucket + "?" + query.Encode(), AccessKey: r.S3.AccessKey, SecretKey: r.S3.SecretKey}
	}
	stream, err := manifests.Render(manifests.Values{
		Registry: r.Blue.Registry(), Shop: keep(manifests.ShopBucket), Clock: keep(manifests.ClockBucket),
	})
	if err != nil {
		return err
	}
	err = process.WaitUntil(ctx, time.Minute, func(ctx context.Context) error {
		return r.Blue.apply(ctx, string(stream))
	})
	if err != nil {
		return fmt.Errorf("apply the demo's manifests: %w", err)
	}
	client, err := r.Blue.Client()
	if err != nil {
		return err
	}
	err = process.WaitUntil(ctx, 2*time.Minute, func(ctx context.Context) error {
		deployments, err := client.AppsV1().Deployments(manifests.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var waiting []error
		for _, d := range deployments.Items {
			if d.Spec.Replicas != nil && d.Status.ReadyReplicas < *d.Spec.Replicas {
				waiting = append(waiting, fmt.Errorf("%s has %d of %d replicas ready", d.Name, d.Status.ReadyReplicas, *d.Spec.Replicas))
			}
		}
		return errors.Join(waiting...)
	})
	if err != nil {
		return fmt.Errorf("wait for the demo's applications: %w", err)
	}
	return nil
}

// apply gives a stream of documents to the cluster's own kubectl.
func (s *Side) apply(ctx context.Context, stream string) error {
	cmd := exec.CommandContext(ctx, s.Cluster.Kubectl(), "--kubeconfig", s.Cluster.Kubeconfig(), "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(stream)
	cmd.Env = append(os.Environ(), "HOME="+s.rig.path(s.Name)) // its cache of kinds
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl apply: %w: %s", err, out)
	}
	return nil
}

// nameDemo waits for the applications' load balancers and makes the CNAME records that the migration swaps.
func (r *Rig) nameDemo(ctx context.Context) error {
	for _, app := range DemoHosts() {
		entry, err := r.Blue.balancer(ctx, manifests.Namespace, app)
		if err != nil {
			return err
		}
		if err := r.Alias(ctx, app+".apps.test", entry.Hostname, demoTTL); err != nil {
			return err
		}
		if err := r.waitName(ctx, app+".apps.test", entry.Hostname); err != nil {
			return err
		}
		if err := waitAnswer(ctx, "http://"+entry.IP+"/"); err != nil {
			return err
		}
	}
	return nil
}

// waitAnswer waits until kube-proxy serves an address that its Service has already.
func waitAnswer(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	err := process.WaitUntil(ctx, time.Minute, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		if err := response.Body.Close(); err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", response.Status)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w", url, err)
	}
	return nil
}

// balancer waits until a Service has its load balancer's address.
func (s *Side) balancer(ctx context.Context, namespace, name string) (corev1.LoadBalancerIngress, error) {
	client, err := s.Client()
	if err != nil {
		return corev1.LoadBalancerIngress{}, err
	}
	var entry corev1.LoadBalancerIngress
	err = process.WaitUntil(ctx, time.Minute, func(ctx context.Context) error {
		service, err := client.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(service.Status.LoadBalancer.Ingress) == 0 {
			return errors.New("it has no address yet")
		}
		entry = service.Status.LoadBalancer.Ingress[0]
		return nil
	})
	if err != nil {
		return entry, fmt.Errorf("wait for the load balancer of %s in %s: %w", name, namespace, err)
	}
	return entry, nil
}

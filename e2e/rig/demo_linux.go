package rig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/crossfade-project/crossfade/e2e/rig/image"
	"github.com/crossfade-project/crossfade/e2e/rig/process"
	"github.com/crossfade-project/crossfade/examples/demo/manifests"
)

const module = "github.com/crossfade-project/crossfade/"

// deployLimit bounds each wait of a deployment, on a machine that is busy with something else as well.
const deployLimit = 5 * time.Minute

// demoTTL is what the demo's CNAME records have before the migration lowers it, in seconds.
const demoTTL = 20

// DemoHosts are the demo's applications that answer at a hostname, which is NAME.apps.test.
func DemoHosts() []string { return []string{"happy-bandit", "shop"} }

// A Demo is one set of the demo's applications on blue, with buckets and names of its own. The zero value is the demo
// itself; others stand beside it.
type Demo struct {
	// Namespace is the set's own on both sides; empty is the demo's.
	Namespace string
	// TTL is that of the CNAME records in seconds; 0 is the demo's.
	TTL uint32
}

func (d Demo) withDefaults() Demo {
	if d.Namespace == "" {
		d.Namespace = manifests.Namespace
	}
	if d.TTL == 0 {
		d.TTL = demoTTL
	}
	return d
}

// suffix tells the names of this set from those of others.
func (d Demo) suffix() string {
	if d = d.withDefaults(); d.Namespace == manifests.Namespace {
		return ""
	}
	return "-" + d.Namespace
}

// group is that of the set's custom resource.
func (d Demo) group() string { return d.withDefaults().Namespace + ".crossfade.example" }

// Host is the hostname of an application.
func (d Demo) Host(app string) string { return app + d.suffix() + ".apps.test" }

// ShopBucket and ClockBucket are the set's buckets, on both stores.
func (d Demo) ShopBucket() string { return manifests.ShopBucket + d.suffix() }

// ClockBucket is the one of the clock.
func (d Demo) ClockBucket() string { return manifests.ClockBucket + d.suffix() }

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

func (r *Rig) writeArchiveKey(context.Context) error {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("make the archive's key: %w", err)
	}
	return r.writeKeys(map[string]string{"archive.key": identity.String()})
}

// Deploy puts a set of the demo's applications on blue, with buckets and names, and returns when users are served.
func (i *Info) Deploy(ctx context.Context, d Demo) error {
	d = d.withDefaults()
	for _, bucket := range []string{d.ShopBucket(), d.ClockBucket()} {
		if err := i.MakeBucket(ctx, bucket); err != nil {
			return err
		}
	}
	if err := i.applyDemo(ctx, d); err != nil {
		return err
	}
	return i.nameDemo(ctx, d)
}

// applyDemo applies the manifests and waits until the applications are ready. The kind of one object is served a
// moment after its definition was applied, so that the first tries may fail.
func (i *Info) applyDemo(ctx context.Context, d Demo) error {
	stream, err := i.render(d)
	if err != nil {
		return err
	}
	blue := i.Side("blue")
	err = process.WaitUntil(ctx, deployLimit, func(ctx context.Context) error {
		return blue.apply(ctx, stream)
	})
	if err != nil {
		return fmt.Errorf("apply the demo's manifests: %w", err)
	}
	client, err := blue.Client()
	if err != nil {
		return err
	}
	err = process.WaitUntil(ctx, deployLimit, func(ctx context.Context) error {
		deployments, err := client.AppsV1().Deployments(d.Namespace).List(ctx, metav1.ListOptions{})
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

// render returns the set's manifests.
func (i *Info) render(d Demo) (string, error) {
	access, secret, err := i.S3Keys()
	if err != nil {
		return "", err
	}
	keep := func(bucket string) manifests.Store {
		query := url.Values{"endpoint": {i.S3}, "region": {s3Region}}
		return manifests.Store{URL: "s3://" + bucket + "?" + query.Encode(), AccessKey: access, SecretKey: secret}
	}
	stream, err := manifests.Render(manifests.Values{
		Namespace: d.Namespace, Registry: registry("blue"), Shop: keep(d.ShopBucket()), Clock: keep(d.ClockBucket()),
	})
	return string(stream), err
}

// apply gives a stream of documents to the cluster's own kubectl.
func (s *SideInfo) apply(ctx context.Context, stream string) error {
	cmd := exec.CommandContext(ctx, s.Kubectl, "--kubeconfig", s.Kubeconfig, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(stream)
	cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(s.Kubeconfig)) // its cache of kinds
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl apply: %w: %s", err, out)
	}
	return nil
}

// Client returns a client with full rights and without client-side throttling.
func (s *SideInfo) Client() (*kubernetes.Clientset, error) { return client(s.Name, s.Kubeconfig) }

func client(side, kubeconfig string) (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig of %s: %w", side, err)
	}
	config.QPS, config.Burst = -1, 0
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client of %s: %w", side, err)
	}
	return client, nil
}

// nameDemo waits for the applications' load balancers and makes the CNAME records that the migration swaps.
func (i *Info) nameDemo(ctx context.Context, d Demo) error {
	for _, app := range DemoHosts() {
		entry, err := i.Side("blue").Balancer(ctx, d.Namespace, app)
		if err != nil {
			return err
		}
		if err := i.alias(ctx, d.Host(app), entry.Hostname, d.TTL); err != nil {
			return err
		}
		if err := i.waitName(ctx, d.Host(app), entry.Hostname); err != nil {
			return err
		}
		if err := waitAnswer(ctx, "http://"+entry.IP+"/"); err != nil {
			return err
		}
	}
	return nil
}

// Remove takes a set's objects from both clusters, with the roles of the migration that has its name, its buckets from both
// stores, and its names from the zone. It does not wait for the pods' end; Gone does.
func (i *Info) Remove(ctx context.Context, d Demo) error {
	d = d.withDefaults()
	failed := []error{i.Revoke(ctx, d.Namespace)}
	for _, side := range i.Sides {
		client, err := side.Client()
		if err != nil {
			return err
		}
		err = client.CoreV1().Namespaces().Delete(ctx, d.Namespace, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			failed = append(failed, fmt.Errorf("remove %s from %s: %w", d.Namespace, side.Name, err))
		}
		// The definition is the set's own, too, since the group of the kind begins with its namespace.
		err = client.Discovery().RESTClient().Delete().
			AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/banners." + d.group()).Do(ctx).Error()
		if err != nil && !apierrors.IsNotFound(err) {
			failed = append(failed, fmt.Errorf("remove the kind of %s from %s: %w", d.Namespace, side.Name, err))
		}
	}
	for _, app := range DemoHosts() {
		for name, typ := range map[string]string{d.Host(app): "CNAME", "_crossfade-" + d.Host(app): "TXT"} {
			failed = append(failed, i.clearName(ctx, name, typ))
		}
	}
	for _, bucket := range []string{d.ShopBucket(), d.ClockBucket()} {
		failed = append(failed, i.removeBucket(ctx, bucket))
	}
	return errors.Join(failed...)
}

// Gone waits until neither cluster has the set's namespace any more.
func (i *Info) Gone(ctx context.Context, d Demo) error {
	d = d.withDefaults()
	for _, side := range i.Sides {
		client, err := side.Client()
		if err != nil {
			return err
		}
		err = process.WaitUntil(ctx, deployLimit, func(ctx context.Context) error {
			_, err := client.CoreV1().Namespaces().Get(ctx, d.Namespace, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return errors.Join(errors.New("it is there"), err)
		})
		if err != nil {
			return fmt.Errorf("wait for the end of %s on %s: %w", d.Namespace, side.Name, err)
		}
	}
	return nil
}

// waitAnswer waits until kube-proxy serves an address that its Service has already.
func waitAnswer(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	err := process.WaitUntil(ctx, deployLimit, func(ctx context.Context) error {
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

// Balancer waits until a Service has its load balancer's address.
func (s *SideInfo) Balancer(ctx context.Context, namespace, name string) (corev1.LoadBalancerIngress, error) {
	client, err := s.Client()
	if err != nil {
		return corev1.LoadBalancerIngress{}, err
	}
	var entry corev1.LoadBalancerIngress
	err = process.WaitUntil(ctx, deployLimit, func(ctx context.Context) error {
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

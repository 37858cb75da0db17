package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/process"
)

// LightOptions choose a Light cluster. The zero value is the newest Kubernetes without controllers.
type LightOptions struct {
	// Name is the cluster's name, "light" if empty.
	Name string
	// Minor is the Kubernetes version, such as "1.28"; empty is the newest that the rig has.
	Minor string
	// Controllers also runs kube-controller-manager: namespaces then go away when deleted, and owners take their
	// dependents along. It takes a second more.
	Controllers bool
	// Nodes also runs kube-scheduler, and kwok, which plays that many nodes: pods are bound and ready at once, those that
	// are to end succeed, and deleted ones go. Nothing runs in them. It implies Controllers, and takes some seconds more.
	Nodes int
	// Dir is the state folder. Empty is a temporary one that Stop removes.
	Dir string
	// Installer finds the programs. Nil is one with the default cache.
	Installer *install.Installer
	// Log hears of what takes long. Nil is silent.
	Log *slog.Logger
}

// Light starts etcd and kube-apiserver on free ports of loopback. Without Nodes, pods are accepted and
// stay pending. Without controllers service accounts are not made, and pods are accepted without one.
func Light(ctx context.Context, o LightOptions) (*Cluster, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Name == "" {
		o.Name = "light"
	}
	o.Controllers = o.Controllers || o.Nodes > 0
	programs, err := findPrograms(ctx, o)
	if err != nil {
		return nil, err
	}
	// A free port may be taken by someone else before the server has it, so that a start is tried thrice.
	for try := 1; ; try++ {
		c, err := startLight(ctx, o, programs)
		if err == nil {
			return c, nil
		}
		var exit *process.ExitError
		if try == 3 || !errors.As(err, &exit) {
			return nil, fmt.Errorf("start light cluster %s: %w", o.Name, err)
		}
		o.Log.Info("a light cluster did not start, trying again on other ports", "error", err.Error())
	}
}

// programs are where the parts of one version lie.
type programs struct {
	version, bin, etcd string
	kwok               string // empty where no nodes are played
}

func findPrograms(ctx context.Context, o LightOptions) (programs, error) {
	in, minor := o.Installer, o.Minor
	if in == nil {
		var err error
		if in, err = install.New(o.Log); err != nil {
			return programs{}, err
		}
	}
	if minor == "" {
		minors := install.KubernetesMinors()
		minor = minors[len(minors)-1]
	}
	version, err := install.KubernetesVersion(minor)
	if err != nil {
		return programs{}, err
	}
	bin, err := in.Kubernetes(ctx, minor)
	if err != nil {
		return programs{}, err
	}
	p := programs{version: version, bin: bin}
	if p.etcd, err = in.Etcd(ctx); err != nil {
		return programs{}, err
	}
	if o.Nodes > 0 {
		p.kwok, err = in.Kwok(ctx)
	}
	return p, err
}

func startLight(ctx context.Context, o LightOptions, p programs) (_ *Cluster, err error) {
	c := &Cluster{Name: o.Name, Version: p.version, dir: o.Dir, kubectl: filepath.Join(p.bin, "kubectl")}
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "crossfade-light-"); err != nil {
			return nil, fmt.Errorf("make state folder: %w", err)
		}
		c.temporary = true
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
		}
	}()
	ports, err := freePorts(ctx, 3)
	if err != nil {
		return nil, err
	}
	s := &control{
		cluster: c, bin: p.bin, etcd: p.etcd,
		address: netip.AddrFrom4([4]byte{127, 0, 0, 1}), port: ports[0], etcdPort: ports[1], peerPort: ports[2],
		services: netip.MustParsePrefix("10.96.0.0/16"),
	}
	parts := []string{"controllers"}
	if o.Nodes > 0 {
		parts = append(parts, "scheduler", "kwok")
	}
	if err := s.prepare(parts...); err != nil {
		return nil, err
	}
	if err := s.startEtcd(); err != nil {
		return nil, err
	}
	more := []string{"--endpoint-reconciler-type=none"} // an endpoint may not be a loopback address
	if !o.Controllers {
		more = append(more, "--disable-admission-plugins=ServiceAccount")
	}
	if err := s.startAPIServer(more...); err != nil {
		return nil, err
	}
	if err := s.waitAPIServer(ctx); err != nil {
		return nil, err
	}
	if !o.Controllers {
		return c, nil
	}
	if err := s.startControllers("--secure-port=0", "--kube-api-qps=200", "--kube-api-burst=400"); err != nil {
		return nil, err
	}
	if err := waitServiceAccount(ctx, c); err != nil || o.Nodes == 0 {
		return c, err
	}
	return c, s.playNodes(ctx, p.kwok, o.Nodes)
}

// waitServiceAccount waits for the default account, the first sign of working controllers.
func waitServiceAccount(ctx context.Context, c *Cluster) error {
	config, err := c.Config()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	err = process.WaitUntil(ctx, time.Minute, func(ctx context.Context) error {
		_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	}, c.whole()...)
	if err != nil {
		return fmt.Errorf("wait for the controllers: %w", err)
	}
	return nil
}

// freePorts finds ports of loopback that nobody listens on just now.
func freePorts(ctx context.Context, count int) ([]int, error) {
	var ports []int
	for range count {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find free port: %w", err)
		}
		defer listener.Close() //nolint:errcheck // held only so that the next one differs
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

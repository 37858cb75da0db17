package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/netns"
	"github.com/crossfade-project/crossfade/e2e/rig/process"
	"github.com/crossfade-project/crossfade/e2e/rig/record"
)

// Options choose a full cluster. Name, Dir, Space and Images are needed.
type Options struct {
	// Name is the cluster's name, and its node's.
	Name string
	// Minor is the Kubernetes version, such as "1.28"; empty is the newest that the rig has.
	Minor string
	// Dir is the state folder, on a disk.
	Dir string
	// Space is the network namespace, which nothing else uses. Its address is the node's.
	Space *netns.Namespace
	// Pods and Services are the cluster's own subnets; the defaults are 10.244.0.0/16 and 10.96.0.0/16. They are seen
	// inside the namespace only, so that clusters may have the same.
	Pods, Services netip.Prefix
	// Resolver is the name server that pods and the node ask. Without one they find no names.
	Resolver netip.Addr
	// Images are tars to import, with the one of image.PauseSpec among them. Import takes more, later.
	Images []string
	// Record remembers what a killed run leaves behind. It may be nil.
	Record *record.Log
	// Installer finds the programs. Nil is one with the default cache.
	Installer *install.Installer
	// Log hears of what takes long. Nil is silent.
	Log *slog.Logger
}

// A node is what only a full cluster has.
type node struct {
	control
	o      Options
	room   *room
	cgroup record.Entry
}

// Start starts a full cluster and returns when its node is ready for pods.
func Start(ctx context.Context, o Options) (_ *Cluster, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if !o.Pods.IsValid() {
		o.Pods = netip.MustParsePrefix("10.244.0.0/16")
	}
	if !o.Services.IsValid() {
		o.Services = netip.MustParsePrefix("10.96.0.0/16")
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, fmt.Errorf("start cluster %s: %w", o.Name, err)
	}
	programs, err := findPrograms(ctx, LightOptions{Installer: o.Installer, Minor: o.Minor, Log: o.Log})
	if err != nil {
		return nil, err
	}
	c := &Cluster{Name: o.Name, Version: programs.version, dir: o.Dir, kubectl: filepath.Join(programs.bin, "kubectl")}
	n := &node{o: o, control: control{
		cluster: c, bin: programs.bin, etcd: programs.etcd,
		address: o.Space.Address, port: 6443, etcdPort: 2379, peerPort: 2380, services: o.Services,
	}}
	began := time.Now()
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start cluster %s: %w", o.Name, err), c.Stop(context.WithoutCancel(ctx)))
	}
	o.Log.Info("cluster is ready", "cluster", o.Name, "version", c.Version, "took", time.Since(began).Round(100*time.Millisecond).String())
	return c, nil
}

func (n *node) start(ctx context.Context) error {
	n.cluster.clean, n.cluster.load = n.clean, n.importImage
	if err := n.furnish(); err != nil {
		return err
	}
	if err := n.startEtcd(); err != nil {
		return err
	}
	key := n.keys.path
	err := n.startAPIServer("--kubelet-preferred-address-types=InternalIP", "--kubelet-certificate-authority="+key("ca.crt"),
		"--kubelet-client-certificate="+key("client-kubelets.crt"), "--kubelet-client-key="+key("client-kubelets.key"))
	if err != nil {
		return err
	}
	if err := n.run("containerd", "containerd", "-c", n.file("containerd.toml")); err != nil {
		return err
	}
	// Images are imported while the API server starts.
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.importImages(groupCtx) })
	group.Go(func() error { return n.waitAPIServer(groupCtx) })
	if err := group.Wait(); err != nil {
		return err
	}
	if err := n.startParts(); err != nil {
		return err
	}
	if err := n.waitNode(ctx); err != nil {
		return err
	}
	return waitServiceAccount(ctx, n.cluster)
}

func (n *node) file(name string) string { return filepath.Join(n.o.Dir, name) }

// furnish writes every file and makes the room.
func (n *node) furnish() error {
	for _, dir := range []string{"cni", "containerd", "opt"} {
		if err := os.MkdirAll(n.file(dir), 0o755); err != nil {
			return fmt.Errorf("make state folder: %w", err)
		}
	}
	if err := n.prepare("controllers", "scheduler", "kube-proxy", "kubelet"); err != nil {
		return err
	}
	if err := n.keys.server("kubelet", []string{n.o.Name}, n.address.AsSlice()); err != nil {
		return err
	}
	if err := n.keys.client(n.file("keys/kubelets"), n.o.Name, n.url(), "kube-apiserver", "system:masters"); err != nil {
		return err
	}
	n.cgroup = record.Entry{Kind: record.Cgroup, Name: "crossfade-" + n.o.Space.Name}
	if err := n.o.Record.Made(n.cgroup); err != nil {
		return err
	}
	if err := n.writeConfigs(); err != nil {
		return err
	}
	var err error
	if n.room, err = newRoom(n.o.Space, n.o.Dir, n.file("resolv.conf"), n.cgroup.Name, n.bin, n.etcd); err != nil {
		return err
	}
	n.options = process.Options{Enter: n.room.enter, Record: n.o.Record}
	return nil
}

// importImages waits for containerd and gives it the tars.
func (n *node) importImages(ctx context.Context) error {
	err := process.WaitUntil(ctx, readyLimit, func(ctx context.Context) error {
		return n.ctr(ctx, "version")
	}, n.cluster.whole()...)
	if err != nil {
		return fmt.Errorf("wait for containerd: %w", err)
	}
	for _, tar := range n.o.Images {
		if err := n.importImage(ctx, tar); err != nil {
			return fmt.Errorf("import image %s: %w", tar, err)
		}
	}
	return nil
}

func (n *node) importImage(ctx context.Context, tar string) error {
	file, err := filepath.Abs(tar)
	if err != nil {
		return err
	}
	return n.ctr(ctx, "images", "import", "--snapshotter", n.snapshotter(), file)
}

// ctr runs containerd's own client in the room, to its end.
func (n *node) ctr(ctx context.Context, args ...string) error {
	output, err := os.CreateTemp(n.o.Dir, "ctr-*.log")
	if err != nil {
		return fmt.Errorf("run ctr: %w", err)
	}
	name := output.Name()
	if err := output.Close(); err != nil {
		return fmt.Errorf("run ctr: %w", err)
	}
	p, err := process.Start(process.Options{
		Name: "ctr", Args: append([]string{"ctr", "-a", socket, "-n", "k8s.io"}, args...), Enter: n.room.enter, Log: name,
	})
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), p.Stop(ctx, 0))
	}
	var exit *process.ExitError
	if err := p.Failure(); errors.As(err, &exit) && exit.Err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return os.Remove(name)
}

// startParts starts what needs the API server. The kubelet comes last, so that Stop ends it first.
func (n *node) startParts() error {
	if err := n.startControllers(); err != nil {
		return err
	}
	bin := func(name string) string { return filepath.Join(n.bin, name) }
	err := n.run("scheduler", bin("kube-scheduler"), "--kubeconfig="+n.partConfig("scheduler"), "--leader-elect=false", "--cert-dir="+n.keys.dir)
	if err != nil {
		return err
	}
	err = n.run("proxy", bin("kube-proxy"), "--kubeconfig="+n.partConfig("kube-proxy"), "--hostname-override="+n.o.Name,
		"--cluster-cidr="+n.o.Pods.String(), "--proxy-mode=iptables", "--conntrack-max-per-core=0")
	if err != nil {
		return err
	}
	return n.run("kubelet", bin("kubelet"), "--kubeconfig="+n.partConfig("kubelet"), "--config="+n.file("kubelet.yaml"),
		"--hostname-override="+n.o.Name, "--node-ip="+n.address.String())
}

func (n *node) waitNode(ctx context.Context) error {
	config, err := n.cluster.Config()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	err = process.WaitUntil(ctx, readyLimit, func(ctx context.Context) error {
		got, err := client.CoreV1().Nodes().Get(ctx, n.o.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(got.Spec.Taints) > 0 {
			return fmt.Errorf("node %s has taint %s", got.Name, got.Spec.Taints[0].Key)
		}
		for _, condition := range got.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("node %s is not ready", got.Name)
	}, n.cluster.whole()...)
	if err != nil {
		return fmt.Errorf("wait for the node: %w", err)
	}
	return nil
}

// clean ends the pods and their shims, which outlive containerd, and lets the mounts go.
func (n *node) clean(ctx context.Context) error {
	var failed []error
	if n.cgroup.Name != "" {
		err := record.Remove(ctx, n.cgroup)
		if err == nil {
			err = n.o.Record.Gone(n.cgroup)
		}
		failed = append(failed, err)
	}
	failed = append(failed, n.o.Space.Empty(ctx))
	if n.room != nil {
		failed = append(failed, n.room.close())
	}
	return errors.Join(failed...)
}

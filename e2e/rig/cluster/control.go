package cluster

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/crossfade-project/crossfade/e2e/rig/process"
)

// readyLimit bounds the wait for the API server, on a machine that is busy with something else as well.
const readyLimit = 3 * time.Minute

// A control is the control plane that both sizes of clusters share: where it listens and what it signs with.
type control struct {
	cluster   *Cluster
	keys      *authority
	bin, etcd string     // the folder of Kubernetes' programs, and etcd itself
	address   netip.Addr // of the API server
	port      int
	etcdPort  int
	peerPort  int
	services  netip.Prefix
	// options are given to every part.
	options process.Options
}

// prepare writes keys and kubeconfigs: the administrator's, the operator's, and one for each named part.
func (s *control) prepare(parts ...string) error {
	c := s.cluster
	keys, err := newAuthority(filepath.Join(c.dir, "keys"), c.Name)
	if err != nil {
		return err
	}
	s.keys = keys
	if err := keys.serviceAccounts(); err != nil {
		return err
	}
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	inside := s.services.Masked().Addr().Next() // where pods find the API server
	err = keys.server("apiserver", names, net.IPv4(127, 0, 0, 1), s.address.AsSlice(), inside.AsSlice())
	if err != nil {
		return err
	}
	if err := keys.client(c.Kubeconfig(), c.Name, s.url(), "admin", "system:masters"); err != nil {
		return err
	}
	if err := keys.client(c.OperatorKubeconfig(), c.Name, s.url(), OperatorUser); err != nil {
		return err
	}
	for _, part := range parts {
		user, group := "system:"+part, "system:masters"
		if part == "kubelet" {
			user, group = "system:node:"+c.Name, "system:nodes"
		}
		if err := keys.client(s.partConfig(part), c.Name, s.url(), user, group); err != nil {
			return err
		}
	}
	return nil
}

func (s *control) url() string {
	return "https://" + netip.AddrPortFrom(s.address, uint16(s.port)).String()
}

// partConfig is the kubeconfig of one part.
func (s *control) partConfig(part string) string {
	return filepath.Join(s.cluster.dir, "keys", part+".kubeconfig")
}

// run starts one part.
func (s *control) run(name string, args ...string) error {
	o := s.options
	o.Name, o.Args = name, args
	_, err := s.cluster.start(o)
	return err
}

func (s *control) startEtcd() error {
	client := "http://127.0.0.1:" + strconv.Itoa(s.etcdPort)
	peer := "http://127.0.0.1:" + strconv.Itoa(s.peerPort)
	return s.run("etcd", s.etcd, "--data-dir", filepath.Join(s.cluster.dir, "etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
}

func (s *control) startAPIServer(more ...string) error {
	key := s.keys.path
	args := []string{filepath.Join(s.bin, "kube-apiserver"),
		"--etcd-servers=http://127.0.0.1:" + strconv.Itoa(s.etcdPort),
		"--bind-address=" + s.address.String(), "--advertise-address=" + s.address.String(), "--secure-port=" + strconv.Itoa(s.port),
		"--tls-cert-file=" + key("apiserver.crt"), "--tls-private-key-file=" + key("apiserver.key"), "--client-ca-file=" + key("ca.crt"),
		"--cert-dir=" + s.keys.dir,
		"--service-cluster-ip-range=" + s.services.String(),
		"--service-account-key-file=" + key("sa.pub"), "--service-account-signing-key-file=" + key("sa.key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--authorization-mode=Node,RBAC", "--allow-privileged=true", "--profiling=false"}
	return s.run("apiserver", append(args, more...)...)
}

func (s *control) startControllers(more ...string) error {
	key := s.keys.path
	args := []string{filepath.Join(s.bin, "kube-controller-manager"), "--kubeconfig=" + s.partConfig("controllers"),
		"--service-account-private-key-file=" + key("sa.key"), "--root-ca-file=" + key("ca.crt"), "--leader-elect=false",
		"--cert-dir=" + s.keys.dir, "--profiling=false"}
	return s.run("controllers", append(args, more...)...)
}

// waitAPIServer waits until the API server says that it is ready.
func (s *control) waitAPIServer(ctx context.Context) error {
	config, err := s.cluster.Config()
	if err != nil {
		return err
	}
	config.Timeout = 5 * time.Second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	ready := func(ctx context.Context) error {
		_, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	}
	if err := process.WaitUntil(ctx, readyLimit, ready, s.cluster.whole()...); err != nil {
		return fmt.Errorf("wait for the API server: %w", err)
	}
	return nil
}

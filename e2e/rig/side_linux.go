package rig

import (
	"context"

	"k8s.io/client-go/kubernetes"

	"github.com/crossfade-project/crossfade/e2e/rig/balancer"
	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/e2e/rig/netns"
)

// A Side is one of the two clusters, with the namespace that it lives in.
type Side struct {
	// Name is blue or green, and the cluster's and its node's name.
	Name string
	// Minor is the Kubernetes version.
	Minor   string
	Space   *netns.Namespace
	Cluster *cluster.Cluster

	host, pool byte // last bytes of the node's address and of the first of its load balancers'
	rig        *Rig
}

// Registry is the registry that the names of this side's images begin with. There is none: the images are imported.
func (s *Side) Registry() string { return registry(s.Name) }

func registry(side string) string { return "registry." + side + ".test" }

// BalancerPattern is how this side's load balancers are called.
func (s *Side) BalancerPattern() string { return "NAME.NAMESPACE." + s.Name + ".lb.test" }

func (s *Side) start(ctx context.Context) error {
	pause, err := s.rig.buildPause(ctx, s.Name)
	if err != nil {
		return err
	}
	s.Cluster, err = cluster.Start(ctx, cluster.Options{
		Name: s.Name, Minor: s.Minor, Dir: s.rig.path(s.Name), Space: s.Space, Resolver: s.rig.resolver(),
		Images: []string{pause}, Record: s.rig.record, Installer: s.rig.in, Log: s.rig.log,
	})
	return err
}

func (s *Side) stop(ctx context.Context) error {
	if s.Cluster == nil {
		return nil
	}
	return s.Cluster.Stop(ctx)
}

// Client returns a client with full rights.
func (s *Side) Client() (*kubernetes.Clientset, error) { return s.info().Client() }

func (s *Side) info() *SideInfo {
	return &SideInfo{
		Name: s.Name, Version: s.Cluster.Version, Node: s.Space.Address.String(), Space: s.Space.Name,
		Kubeconfig: s.Cluster.Kubeconfig(), Operator: s.Cluster.OperatorKubeconfig(), Kubectl: s.Cluster.Kubectl(), Logs: s.Cluster.Logs(),
	}
}

// startBalancers hands out addresses to Services on both sides until Down.
func (r *Rig) startBalancers(ctx context.Context) error {
	// The balancers outlive the call that brought the rig up.
	ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, side := range []*Side{r.Blue, r.Green} {
		client, err := side.Client()
		if err != nil {
			return err
		}
		o := balancer.Options{
			Client: client, Addresses: side.Space, Pool: r.Network.Pool(side.pool, poolSize),
			Hostname: side.BalancerPattern(), Names: r.balancerNames(), Log: r.log.With("side", side.Name),
		}
		r.group.Go(func() {
			// Run ends with its context only, without an error.
			_ = balancer.Run(ctx, o)
		})
	}
	return nil
}

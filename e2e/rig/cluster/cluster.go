package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/crossfade-project/crossfade/e2e/rig/process"
)

// A Cluster is a running cluster.
type Cluster struct {
	// Name is the cluster's name, and its node's.
	Name string
	// Version is that of Kubernetes, such as v1.36.3.
	Version string

	dir       string // its state
	kubectl   string
	temporary bool // the state is removed by Stop

	mu    sync.Mutex
	parts []*process.Process // in the order in which they were started
	// clean undoes what is not a process, called after the parts have ended; it may be nil.
	clean func(context.Context) error
	// load gives containerd more images; nil for Light.
	load func(context.Context, string) error
}

// Kubeconfig is the path of a file with full rights.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir, "kubeconfig") }

// OperatorUser is whom OperatorKubeconfig is of.
const OperatorUser = "crossfade"

// OperatorKubeconfig is the path of a file of OperatorUser, who belongs to no group and has no rights but those that an
// administrator gives.
func (c *Cluster) OperatorKubeconfig() string { return filepath.Join(c.dir, "crossfade.kubeconfig") }

// Kubectl is the path of the cluster's own kubectl.
func (c *Cluster) Kubectl() string { return c.kubectl }

// Logs is the folder with one log file for each part.
func (c *Cluster) Logs() string { return filepath.Join(c.dir, "logs") }

// Config returns a client configuration with full rights and without client-side throttling.
func (c *Cluster) Config() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig of cluster %s: %w", c.Name, err)
	}
	config.QPS, config.Burst = -1, 0
	return config, nil
}

// Import makes the images of a tar known to the cluster's node.
func (c *Cluster) Import(ctx context.Context, tar string) error {
	if c.load == nil {
		return fmt.Errorf("import %s: cluster %s has no node", tar, c.Name)
	}
	if err := c.load(ctx, tar); err != nil {
		return fmt.Errorf("import %s into cluster %s: %w", tar, c.Name, err)
	}
	return nil
}

// Failure says which part of the cluster has ended by itself, if one has.
func (c *Cluster) Failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var failed []error
	for _, p := range c.parts {
		failed = append(failed, p.Failure())
	}
	return errors.Join(failed...)
}

// Stop ends the cluster and removes what it left on the machine. A second call does nothing.
func (c *Cluster) Stop(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var failed []error
	for len(c.parts) > 0 {
		last := len(c.parts) - 1
		failed = append(failed, c.parts[last].Stop(ctx, 0))
		c.parts = c.parts[:last]
	}
	if c.clean != nil {
		failed = append(failed, c.clean(ctx))
		c.clean = nil
	}
	if c.temporary {
		failed = append(failed, os.RemoveAll(c.dir))
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("stop cluster %s: %w", c.Name, err)
	}
	return nil
}

// start starts one part and remembers it.
func (c *Cluster) start(o process.Options) (*process.Process, error) {
	o.Log = filepath.Join(c.Logs(), o.Name+".log")
	p, err := process.Start(o)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parts = append(c.parts, p)
	return p, nil
}

// whole returns the parts started so far.
func (c *Cluster) whole() []*process.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*process.Process(nil), c.parts...)
}

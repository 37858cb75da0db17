package cluster

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/crossfade-project/crossfade/e2e/rig/process"
)

// kwokStages say what kwok does to nodes and pods.
//
//go:embed kwok.yaml
var kwokStages []byte

// playNodes starts the scheduler and kwok, makes nodes for it to play, and waits until they are ready.
func (s *control) playNodes(ctx context.Context, kwok string, count int) error {
	err := s.run("scheduler", filepath.Join(s.bin, "kube-scheduler"), "--kubeconfig="+s.partConfig("scheduler"),
		"--leader-elect=false", "--secure-port=0", "--profiling=false")
	if err != nil {
		return err
	}
	settings := filepath.Join(s.cluster.dir, "kwok.yaml")
	if err := os.WriteFile(settings, kwokStages, 0o600); err != nil {
		return fmt.Errorf("write kwok's settings: %w", err)
	}
	err = s.run("kwok", kwok, "--kubeconfig="+s.partConfig("kwok"), "--config="+settings, "--manage-all-nodes",
		"--node-lease-duration-seconds=40", "--cidr=10.200.0.0/16", "--node-ip=10.199.0.1", "--v=WARN")
	if err != nil {
		return err
	}
	config, err := s.cluster.Config()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	for i := range count {
		name := fmt.Sprintf("node-%d", i+1)
		_, err := client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"},
		}}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("make node %s: %w", name, err)
		}
	}
	err = process.WaitUntil(ctx, time.Minute, func(ctx context.Context) error { return nodesReady(ctx, client) }, s.cluster.whole()...)
	if err != nil {
		return fmt.Errorf("wait for the nodes: %w", err)
	}
	return nil
}

func nodesReady(ctx context.Context, client kubernetes.Interface) error {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, n := range nodes.Items {
		ready := false
		for _, c := range n.Status.Conditions {
			ready = ready || c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		}
		if !ready || len(n.Spec.Taints) > 0 {
			return errors.New("node " + n.Name + " is not ready")
		}
	}
	return nil
}

package ports

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Cluster is what this package needs of green. FromKube makes one of a client.
type Cluster interface {
	// TryNodePort asks whether the server would give a Service the number, and returns its refusal. It leaves nothing behind.
	TryNodePort(ctx context.Context, port int32) error
	// Services yields every Service of the cluster. One that ends without an error was complete.
	Services(ctx context.Context) iter.Seq2[*corev1.Service, error]
	// Pods yields every pod of the cluster. One that ends without an error was complete.
	Pods(ctx context.Context) iter.Seq2[*corev1.Pod, error]
}

// ErrRangeUnknown says that the server did not name its range.
var ErrRangeUnknown = errors.New("the API server did not say its range of node ports")

// Absurd numbers: in no range that makes sense, and valid ports all the same.
const (
	absurdlyLow  = 1
	absurdlyHigh = 65535
)

// rangeText is how every API server since 1.10 names the range in its refusal.
var rangeText = regexp.MustCompile(`range of valid ports is (\d+)-(\d+)`)

// Learn reads what green has: the range, which no API shows and only a refusal names (P1), the numbers in use in every
// namespace (P3), and the ports of nodes that pods take. Migration is the name in the label of what is ours.
func Learn(ctx context.Context, c Cluster, migration, label string) (Input, error) {
	var in Input
	var err error
	if in.Range, err = learnRange(ctx, c); err != nil {
		return in, fmt.Errorf("learn green's range of node ports: %w", err)
	}
	for svc, err := range c.Services(ctx) {
		if err != nil {
			return in, fmt.Errorf("read green's Services: %w", err)
		}
		for _, w := range wantsOf(svc, "") {
			in.Used = append(in.Used, Used{
				Port: w.Port, Namespace: w.Namespace, Service: w.Service, Name: w.Name, Protocol: w.Protocol, Use: w.Use,
				Ours: migration != "" && svc.Labels[label] == migration,
			})
		}
	}
	for pod, err := range c.Pods(ctx) {
		if err != nil {
			return in, fmt.Errorf("read green's pods: %w", err)
		}
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed || (migration != "" && ownPod(pod, migration, label)) {
			continue
		}
		in.Taken = append(in.Taken, hostPortsOf(pod.Spec, "Pod "+pod.Namespace+"/"+pod.Name)...)
	}
	return in, nil
}

// ownPod reports whether this migration made a pod. Those of its workloads carry no label of it and are counted as green's.
func ownPod(pod *corev1.Pod, migration, label string) bool { return pod.Labels[label] == migration }

// learnRange tries absurd numbers until one is refused. A server that takes even the lowest and the highest has no bounds.
func learnRange(ctx context.Context, c Cluster) (Range, error) {
	for _, port := range []int32{absurdlyLow, absurdlyHigh} {
		err := c.TryNodePort(ctx, port)
		switch {
		case apierrors.IsInvalid(err):
			return parseRange(err.Error())
		case err != nil:
			return Range{}, fmt.Errorf("%w: %w", ErrRangeUnknown, err)
		}
	}
	return Range{From: absurdlyLow, To: absurdlyHigh}, nil
}

// parseRange reads the range out of a refusal.
func parseRange(text string) (Range, error) {
	m := rangeText.FindStringSubmatch(text)
	if m == nil {
		return Range{}, fmt.Errorf("%w: %s", ErrRangeUnknown, strings.TrimSpace(text))
	}
	from, ferr := strconv.ParseInt(m[1], 10, 32)
	to, terr := strconv.ParseInt(m[2], 10, 32)
	if ferr != nil || terr != nil || from < 1 || to > 65535 || from > to {
		return Range{}, fmt.Errorf("%w: %s-%s is no range", ErrRangeUnknown, m[1], m[2])
	}
	return Range{From: int32(from), To: int32(to)}, nil
}

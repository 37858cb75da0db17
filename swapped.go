package crossfade

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// lookForSwap refuses, with a question, a file whose blue and green look swapped: the applications run on green and not on
// blue. It happens most often with the file of the migration before, whose green is the blue of now.
func (m *Migration) lookForSwap(ctx context.Context, p *plan.Plan) {
	var signs []string
	seen := map[string]bool{}
	for _, a := range m.file.Applications {
		if seen[a.Namespace] {
			continue
		}
		seen[a.Namespace] = true
		onBlue, _, err := m.workloads(ctx, Blue, a.Namespace)
		if err != nil || onBlue > 0 {
			return // who serves on blue is there; what cannot be counted is for others to judge
		}
		onGreen, owners, err := m.workloads(ctx, Green, m.greenNamespace(a.Namespace))
		if err != nil || slices.Contains(owners, m.file.Name) {
			return // green has what this migration brought there
		}
		if onGreen == 0 {
			continue
		}
		sign := fmt.Sprintf("green runs %s in namespace %s", cli.Count(onGreen, "workload"), m.greenNamespace(a.Namespace))
		if len(owners) > 0 {
			sign += " (brought there by migration " + strings.Join(owners, ", ") + ")"
		}
		signs = append(signs, sign+" and blue none in "+a.Namespace)
	}
	if len(signs) > 0 {
		p.Refuse("blue and green", "they look swapped: "+strings.Join(signs, "; "),
			fmt.Sprintf("which of the two serves now? blue is the one that does: if it is the cluster that %s calls green, exchange blue and green there; if not, empty those namespaces of green", m.file.Path))
	}
}

// workloads counts what runs or could run in a namespace, and names the migrations that brought some of it.
func (m *Migration) workloads(ctx context.Context, side, namespace string) (n int, owners []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	client, err := m.side(side)
	if err != nil {
		return 0, nil, err
	}
	for _, kind := range [][2]string{{"apps", "Deployment"}, {"apps", "StatefulSet"}, {"apps", "DaemonSet"}, {"batch", "CronJob"}} {
		r, err := client.ResourceFor(ctx, kind[0], kind[1])
		if err != nil {
			return 0, nil, err
		}
		for obj, err := range client.List(ctx, r, namespace, "") {
			if apierrors.IsNotFound(err) {
				break
			}
			if err != nil {
				return 0, nil, err
			}
			n++
			if by := obj.GetLabels()[kube.LabelMigration]; by != "" && !slices.Contains(owners, by) {
				owners = append(owners, by)
			}
		}
	}
	return n, owners, nil
}

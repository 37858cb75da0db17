package ports

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// Rights lists what planning the node ports of an archive's objects needs of green: nothing where none of them has a number.
func Rights(ctx context.Context, a Archive, maps migration.Maps) ([]kube.Right, error) {
	const (
		side     = "green"
		whyRange = "ports: only a refusal names the range of node ports; the Service that is asked for has a name that is taken, so that none is made"
		whyTaken = "ports: the numbers that green's Services and pods have already"
	)
	var in Input
	for _, e := range a.Index().Entries {
		if _, pods := templates()[e.Kind]; e.Role == archive.RoleInformation || (!pods && e.Kind != "Service") {
			continue
		}
		obj, err := a.Object(ctx, e)
		if err != nil {
			return nil, fmt.Errorf("read blue's ports: %w", err)
		}
		if err := Collect(&in, obj, maps.Namespaces); err != nil {
			return nil, fmt.Errorf("read blue's ports: %w", err)
		}
	}
	if len(in.Wants)+len(in.HostPorts) == 0 {
		return nil, nil
	}
	return []kube.Right{
		{Side: side, Namespace: metav1.NamespaceDefault, Resource: "services", Verbs: []string{"get"}, Names: []string{"kubernetes"}, Why: whyRange},
		{Side: side, Namespace: metav1.NamespaceDefault, Resource: "services", Verbs: []string{"create"}, Why: whyRange},
		{Side: side, Resource: "services", Verbs: []string{"list"}, Why: whyTaken},
		{Side: side, Resource: "pods", Verbs: []string{"list"}, Why: whyTaken},
	}, nil
}

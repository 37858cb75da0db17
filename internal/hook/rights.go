package hook

import (
	"context"
	"net/http"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// Rights lists what a hook needs on its side. Patches that are taken back by Undo are written as a whole then, which is
// another verb. Hooks that ask a URL or run a command need nothing of a cluster.
func (r Runner) Rights(ctx context.Context, h migration.Hook, side, why string, undone bool) ([]kube.Right, error) {
	switch {
	case h.Patch != nil:
		res, err := r.Kube.ResourceFor(ctx, h.Patch.Group, h.Patch.Kind)
		if err != nil {
			return nil, err
		}
		verbs := []string{"get", "patch"}
		if undone {
			verbs = append(verbs, "update")
		}
		return []kube.Right{{Side: side, Namespace: r.Namespace, Group: res.Group, Resource: res.Resource, Verbs: verbs, Names: []string{h.Patch.Name}, Why: why}}, nil
	case h.HTTP != nil:
		return r.HTTPRights(*h.HTTP, side, why), nil
	}
	return nil, nil
}

// HTTPRights lists what a request to pods needs on its side.
func (r Runner) HTTPRights(h migration.HTTPHook, side, why string) []kube.Right {
	if h.Pods == nil {
		return nil
	}
	return PodRights(side, r.Namespace, method(h), why)
}

// PodRights lists what requests of a method to an application's pods need.
func PodRights(side, namespace, method, why string) []kube.Right {
	return []kube.Right{
		{Side: side, Namespace: namespace, Resource: "pods", Verbs: []string{"list"}, Why: why},
		{Side: side, Namespace: namespace, Resource: "pods/proxy", Verbs: []string{VerbOf(method)}, Why: why},
	}
}

// VerbOf returns the verb under which an API server checks a request to a pod's proxy.
func VerbOf(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead:
		return "get"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		return "delete"
	}
	return "create"
}

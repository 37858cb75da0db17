package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
)

// ErrNotServed says that a cluster serves no such kind.
var ErrNotServed = errors.New("is not served by this cluster")

// Resource is one kind of object in the version that the cluster prefers.
type Resource struct {
	schema.GroupVersionResource
	Kind       string
	Namespaced bool
	Verbs      []string
	// Versions are all in which the cluster serves the kind, the preferred one first.
	Versions []string
}

// Can reports whether the resource has a verb.
func (r Resource) Can(verb string) bool { return slices.Contains(r.Verbs, verb) }

// In returns the resource in another of its versions.
func (r Resource) In(version string) Resource {
	r.Version = version
	return r
}

// String names the resource as kubectl does: "deployments.apps".
func (r Resource) String() string { return r.GroupResource().String() }

// DeadGroup is an API that discovery lists and that does not answer: its objects can be neither read nor written.
type DeadGroup struct {
	GroupVersion string `json:"groupVersion"`
	Why          string `json:"why"`
}

// Resources returns what the cluster serves, each kind once, sorted by group and name, and the APIs that are dead.
// A dead APIService is no error: what lives is returned (K17).
func (c *Client) Resources(ctx context.Context) ([]Resource, []DeadGroup, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	asking, err := c.discoveryFor(ctx)
	if err != nil {
		return nil, nil, err
	}
	groups, lists, err := discovery.ServerGroupsAndResources(asking)
	var dead []DeadGroup
	var failed *discovery.ErrGroupDiscoveryFailed
	switch {
	case errors.As(err, &failed):
		dead = deadGroups(failed)
	case err != nil:
		return nil, nil, fmt.Errorf("discover the APIs of %s: %w", c.Config.Host, err)
	}
	found := collect(groups, lists)
	c.mu.Lock()
	c.known = found
	c.mu.Unlock()
	return slices.Clone(found), dead, nil
}

// discoveryFor returns a discovery client whose requests end with ctx: the library's own know no context.
func (c *Client) discoveryFor(ctx context.Context) (discovery.DiscoveryInterface, error) {
	next := c.http.Transport
	bound := &http.Client{Timeout: c.http.Timeout, Transport: transport(func(r *http.Request) (*http.Response, error) {
		return next.RoundTrip(r.WithContext(ctx))
	})}
	asking, err := discovery.NewDiscoveryClientForConfigAndClient(c.Config, bound)
	if err != nil {
		return nil, fmt.Errorf("discover the APIs of %s: %w", c.Config.Host, err)
	}
	return asking, nil
}

type transport func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func deadGroups(failed *discovery.ErrGroupDiscoveryFailed) []DeadGroup {
	var dead []DeadGroup
	for gv, cause := range failed.Groups {
		dead = append(dead, DeadGroup{GroupVersion: gv.String(), Why: cause.Error()})
	}
	slices.SortFunc(dead, func(a, b DeadGroup) int { return strings.Compare(a.GroupVersion, b.GroupVersion) })
	return dead
}

func collect(groups []*metav1.APIGroup, lists []*metav1.APIResourceList) []Resource {
	rank := versionRanks(groups)
	byName := map[schema.GroupResource]*Resource{}
	slices.SortStableFunc(lists, func(a, b *metav1.APIResourceList) int { return rank[a.GroupVersion] - rank[b.GroupVersion] })
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue // a name that cannot be asked for
		}
		for _, r := range list.APIResources {
			if strings.Contains(r.Name, "/") {
				continue // a subresource holds nothing of its own
			}
			gr := schema.GroupResource{Group: gv.Group, Resource: r.Name}
			if have, ok := byName[gr]; ok {
				have.Versions = append(have.Versions, gv.Version)
				continue
			}
			byName[gr] = &Resource{
				GroupVersionResource: gv.WithResource(r.Name), Kind: r.Kind, Namespaced: r.Namespaced,
				Verbs: r.Verbs, Versions: []string{gv.Version},
			}
		}
	}
	out := make([]Resource, 0, len(byName))
	for _, r := range byName {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Resource) int { return strings.Compare(a.Group+"/"+a.Resource, b.Group+"/"+b.Resource) })
	return out
}

// versionRanks orders the versions of each group: the preferred one first, then as the server lists them.
func versionRanks(groups []*metav1.APIGroup) map[string]int {
	rank := map[string]int{}
	for _, g := range groups {
		for i, v := range g.Versions {
			rank[v.GroupVersion] = i + 1
		}
		rank[g.PreferredVersion.GroupVersion] = 0
	}
	return rank
}

// ResourceFor returns the resource of a kind. Discovery is asked again when the kind is not known yet, so that a CRD that
// was made in the meantime is found. A kind that is not served gives ErrNotServed.
func (c *Client) ResourceFor(ctx context.Context, group, kind string) (Resource, error) {
	c.mu.Lock()
	known := c.known
	c.mu.Unlock()
	if r, ok := find(known, group, kind); ok {
		return r, nil
	}
	fresh, _, err := c.Resources(ctx)
	if err != nil {
		return Resource{}, err
	}
	if r, ok := find(fresh, group, kind); ok {
		return r, nil
	}
	return Resource{}, fmt.Errorf("kind %s: %w", schema.GroupKind{Group: group, Kind: kind}, ErrNotServed)
}

func find(known []Resource, group, kind string) (Resource, bool) {
	for _, r := range known {
		if r.Group == group && r.Kind == kind {
			return r, true
		}
	}
	return Resource{}, false
}

// At returns the dynamic client of a resource, in a namespace where it has one.
func (c *Client) At(r Resource, namespace string) dynamic.ResourceInterface {
	if !r.Namespaced || namespace == "" {
		return c.Dynamic.Resource(r.GroupVersionResource)
	}
	return c.Dynamic.Resource(r.GroupVersionResource).Namespace(namespace)
}

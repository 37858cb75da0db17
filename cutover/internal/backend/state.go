package backend

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// Kinds of objects whose rules lead a host to Services.
const (
	Ingress   = "Ingress"
	HTTPRoute = "HTTPRoute"
)

// Groups of these kinds.
const (
	GroupIngress = "networking.k8s.io"
	GroupGateway = "gateway.networking.k8s.io"
)

// fencePrefix begins the annotation that holds a host's fence. A hash follows: a host may be longer than a key.
const fencePrefix = "crossfade.dev/fence-"

// ErrNotExist says that the object, or the host in it, is not there.
var ErrNotExist = errors.New("it does not exist")

// Ref names an object.
type Ref struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String names the object for plans: "Ingress demo/shop".
func (r Ref) String() string { return r.Kind + " " + r.Namespace + "/" + r.Name }

// State is what an object does with one host.
type State struct {
	Ref
	// Host is without its last dot, in lower case.
	Host string `json:"host"`
	UID  string `json:"uid"`
	// Generation moves with every change of the spec. A controller says in a status up to which one it has followed.
	Generation int64 `json:"generation"`
	// Rules are those of the host: a JSON list of the Ingress's rules for it, or the list of all the route's rules.
	Rules json.RawMessage `json:"rules"`
	// Others are further hosts that the same rules serve. An Ingress has rules for each host, so there are none.
	Others []string `json:"others,omitempty"`
	// Fence is the token that holds the host, empty where none does.
	Fence string `json:"fence,omitempty"`
	// Object is the whole of it, as it was read.
	Object *unstructured.Unstructured `json:"-"`
}

// Clean is a host as the objects have it: in lower case, without a last dot.
func Clean(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// FenceAnnotation is the annotation that holds a host's fence.
func FenceAnnotation(host string) string {
	sum := sha256.Sum256([]byte(Clean(host)))
	return fencePrefix + hex.EncodeToString(sum[:8])
}

// Read returns what an object does with a host. An error wraps ErrNotExist where there is no such object, its kind is not
// served, or it has no rule of its own for the host: a rule for every host, or for a wildcard, serves others too.
func Read(ctx context.Context, c *kube.Client, ref Ref, host string) (*State, error) {
	at, err := access(ctx, c, ref)
	if err != nil {
		return nil, err
	}
	obj, err := at.Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%s: %w", ref, ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ref, err)
	}
	return stateOf(obj, ref, host)
}

func access(ctx context.Context, c *kube.Client, ref Ref) (dynamic.ResourceInterface, error) {
	if ref.Kind == Ingress {
		return c.Dynamic.Resource(schema.GroupVersionResource{Group: GroupIngress, Version: "v1", Resource: "ingresses"}).Namespace(ref.Namespace), nil
	}
	r, err := c.ResourceFor(ctx, GroupGateway, ref.Kind)
	if errors.Is(err, kube.ErrNotServed) {
		return nil, fmt.Errorf("%s: the cluster does not serve this kind: %w", ref, ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ref, err)
	}
	return c.At(r, ref.Namespace), nil
}

func stateOf(obj *unstructured.Unstructured, ref Ref, host string) (*State, error) {
	host = Clean(host)
	rules, others, err := rulesOf(obj, ref.Kind, host)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	raw, err := json.Marshal(rules)
	if err != nil {
		return nil, fmt.Errorf("%s: its rules: %w", ref, err)
	}
	return &State{
		Ref: ref, Host: host, UID: string(obj.GetUID()), Generation: obj.GetGeneration(), Rules: raw, Others: others,
		Fence: obj.GetAnnotations()[FenceAnnotation(host)], Object: obj,
	}, nil
}

// rulesOf returns the rules of a host, and the other hosts that they serve.
func rulesOf(obj *unstructured.Unstructured, kind, host string) (rules []any, others []string, err error) {
	all, _, err := unstructured.NestedSlice(obj.Object, "spec", "rules")
	if err != nil {
		return nil, nil, fmt.Errorf("its rules cannot be read: %w", err)
	}
	if kind == Ingress {
		for _, i := range rulesFor(all, host) {
			rules = append(rules, all[i])
		}
		if len(rules) == 0 {
			return nil, nil, fmt.Errorf("no rule for the host %s: %w", host, ErrNotExist)
		}
		return rules, nil, nil
	}
	hosts, _, err := unstructured.NestedStringSlice(obj.Object, "spec", "hostnames")
	if err != nil {
		return nil, nil, fmt.Errorf("its hostnames cannot be read: %w", err)
	}
	there := false
	for _, h := range hosts {
		if Clean(h) == host {
			there = true
			continue
		}
		others = append(others, Clean(h))
	}
	if !there || len(all) == 0 {
		return nil, nil, fmt.Errorf("no rule for the hostname %s: %w", host, ErrNotExist)
	}
	return all, others, nil
}

// Serves reports whether an object has rules of its own for a host.
func Serves(obj *unstructured.Unstructured, kind, host string) bool {
	_, _, err := rulesOf(obj, kind, Clean(host))
	return err == nil
}

// rulesFor returns where an Ingress's rules for a host stand.
func rulesFor(all []any, host string) []int {
	var at []int
	for i, rule := range all {
		if m, ok := rule.(map[string]any); ok {
			if h, _ := m["host"].(string); Clean(h) == host {
				at = append(at, i)
			}
		}
	}
	return at
}

// putRules replaces the rules of a host. An Ingress's keep their places among the others'.
func putRules(obj *unstructured.Unstructured, kind, host string, rules []any) error {
	if kind == Ingress {
		all, _, err := unstructured.NestedSlice(obj.Object, "spec", "rules")
		if err != nil {
			return fmt.Errorf("its rules cannot be read: %w", err)
		}
		at := rulesFor(all, host)
		if len(at) != len(rules) {
			return fmt.Errorf("it has %d rules for %s, and %d are to take their places", len(at), host, len(rules))
		}
		for k, i := range at {
			all[i] = rules[k]
		}
		rules = all
	}
	return unstructured.SetNestedSlice(obj.Object, rules, "spec", "rules")
}

// decode reads rules as an API server would: whole numbers are int64.
func decode(raw json.RawMessage) ([]any, error) {
	var u unstructured.Unstructured
	wrapped := slices.Concat([]byte(`{"apiVersion":"v1","kind":"Rules","rules":`), raw, []byte("}"))
	if err := u.UnmarshalJSON(wrapped); err != nil {
		return nil, fmt.Errorf("read the rules: %w", err)
	}
	rules, _, err := unstructured.NestedSlice(u.Object, "rules")
	return rules, err
}

// Same reports whether two lists of rules ask for the same.
func Same(a, b json.RawMessage) bool {
	x, err := decode(a)
	if err != nil {
		return false
	}
	y, err := decode(b)
	return err == nil && reflect.DeepEqual(x, y)
}

package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// Change replaces the rules of one host.
type Change struct {
	Ref
	Host string `json:"host"`
	UID  string `json:"uid"`
	// Old are the rules that must stand there, New those that are to.
	Old json.RawMessage `json:"old"`
	New json.RawMessage `json:"new"`
	// Fence is the token that must hold the host.
	Fence string `json:"fence"`
}

// Reverse is the change that takes this one back.
func (c Change) Reverse() Change {
	c.Old, c.New = c.New, c.Old
	return c
}

// Result is what a change left.
type Result struct {
	// Already says that the rules were the new ones before: a run that was killed had made the change.
	Already bool `json:"already,omitempty"`
	// Generation is that of the object with the new rules.
	Generation int64 `json:"generation"`
}

// MovedError says what is no longer as a change relies on. Nothing was changed.
type MovedError struct{ What, Was, Now string }

// Error implements error.
func (e *MovedError) Error() string {
	return fmt.Sprintf("%s was %s and is %s now; nothing was changed", e.What, e.Was, e.Now)
}

// FencedError says that somebody else holds a host. Nothing was changed.
type FencedError struct{ Host, Want, Found string }

// Error implements error.
func (e *FencedError) Error() string {
	found := e.Found
	if found == "" {
		found = "nobody"
	}
	return fmt.Sprintf("%s is held by %s and not by %s; nothing was changed", e.Host, found, e.Want)
}

const (
	// tries is how often an object may be written by others between the look and the update: its status moves by itself.
	tries = 20
	// lost is how often the answer to an update may be lost.
	lost = 3
)

// Make makes a change in one update of the object. It may be called again after any end of an earlier call.
func (c Change) Make(ctx context.Context, client *kube.Client) (Result, error) {
	already := false
	obj, err := c.edit(ctx, client, func(s *State) (bool, error) {
		switch {
		case s.Fence != c.Fence:
			return false, &FencedError{Host: s.Host, Want: c.Fence, Found: s.Fence}
		case Same(s.Rules, c.New):
			already = true
			return false, nil
		case !Same(s.Rules, c.Old):
			return false, &MovedError{What: fmt.Sprintf("where %s leads %s", c.Ref, s.Host), Was: Describe(c.Old), Now: Describe(s.Rules)}
		}
		already = false
		rules, err := decode(c.New)
		if err != nil {
			return false, err
		}
		return true, putRules(s.Object, c.Kind, s.Host, rules)
	})
	if err != nil {
		return Result{}, fmt.Errorf("change %s: %w", c.Ref, err)
	}
	return Result{Already: already, Generation: obj.GetGeneration()}, nil
}

// Claim gives the fence of a host a new token. Previous is what must stand there, empty for none.
func Claim(ctx context.Context, client *kube.Client, ref Ref, uid, host, token, previous string) error {
	c := Change{Ref: ref, Host: host, UID: uid}
	_, err := c.edit(ctx, client, func(s *State) (bool, error) {
		switch s.Fence {
		case token:
			return false, nil
		case previous:
			setFence(s.Object, s.Host, token)
			return true, nil
		}
		return false, &FencedError{Host: s.Host, Want: previous, Found: s.Fence}
	})
	if err != nil {
		return fmt.Errorf("fence %s at %s: %w", host, ref, err)
	}
	return nil
}

// Release takes the fence of a host away. One that is gone needs nothing.
func Release(ctx context.Context, client *kube.Client, ref Ref, uid, host, token string) error {
	c := Change{Ref: ref, Host: host, UID: uid}
	_, err := c.edit(ctx, client, func(s *State) (bool, error) {
		switch s.Fence {
		case "":
			return false, nil
		case token:
			setFence(s.Object, s.Host, "")
			return true, nil
		}
		return false, &FencedError{Host: s.Host, Want: token, Found: s.Fence}
	})
	if err != nil {
		return fmt.Errorf("release %s at %s: %w", host, ref, err)
	}
	return nil
}

// setFence leaves no empty map behind: the object is to be as it was.
func setFence(obj *unstructured.Unstructured, host, token string) {
	annotations := obj.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	if annotations[FenceAnnotation(host)] = token; token == "" {
		delete(annotations, FenceAnnotation(host))
	}
	if len(annotations) == 0 {
		annotations = nil
	}
	obj.SetAnnotations(annotations)
}

// edit reads the object, lets change edit what was read, and writes it unless somebody has written it in between: then it
// begins anew. An update whose answer was lost is looked at again.
func (c Change) edit(ctx context.Context, client *kube.Client, change func(*State) (bool, error)) (*unstructured.Unstructured, error) {
	at, err := access(ctx, client, c.Ref)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		s, err := Read(ctx, client, c.Ref, c.Host)
		if err != nil {
			return nil, err
		}
		if s.UID != c.UID {
			return nil, &MovedError{What: "the uid of " + c.String(), Was: c.UID, Now: s.UID}
		}
		write, err := change(s)
		if err != nil || !write {
			return s.Object, err
		}
		obj, err := at.Update(ctx, s.Object, metav1.UpdateOptions{})
		switch {
		case err == nil:
			return obj, nil
		case ctx.Err() == nil && apierrors.IsConflict(err) && try < tries:
		case ctx.Err() == nil && unanswered(err) && try < lost:
		default:
			return nil, err
		}
	}
}

// unanswered reports whether the server may have made an update that failed here.
func unanswered(err error) bool {
	var said apierrors.APIStatus
	return !errors.As(err, &said) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err)
}

// Describe says where rules lead, in one line: "/ → web:80, /api → api:http".
func Describe(rules json.RawMessage) string {
	list, err := decode(rules)
	if err != nil {
		return "unreadable: " + err.Error()
	}
	var parts []string
	for _, rule := range list {
		parts = append(parts, describeRule(rule)...)
	}
	if len(parts) == 0 {
		return "nowhere"
	}
	return strings.Join(parts, ", ")
}

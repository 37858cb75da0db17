package export

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// assigner says to which application an object of a namespace belongs: the first whose selector matches its labels, else
// the first of the namespace.
type assigner struct {
	namespaces []string
	apps       map[string][]selected
}

type selected struct {
	app      migration.Application
	selector labels.Selector
}

func newAssigner(apps []migration.Application) (*assigner, error) {
	a := &assigner{apps: map[string][]selected{}}
	for _, app := range apps {
		selector, err := labels.Parse(app.Selector)
		if err != nil {
			return nil, fmt.Errorf("read the selector of application %s: %w", app.Name, err)
		}
		if !slices.Contains(a.namespaces, app.Namespace) {
			a.namespaces = append(a.namespaces, app.Namespace)
		}
		a.apps[app.Namespace] = append(a.apps[app.Namespace], selected{app: app, selector: selector})
	}
	return a, nil
}

// owner returns the application of an object, and whether its selector matches.
func (a *assigner) owner(namespace string, labelsOf map[string]string) (app migration.Application, matched bool) {
	candidates := a.apps[namespace]
	for _, c := range candidates {
		if c.selector.Matches(labels.Set(labelsOf)) {
			return c.app, true
		}
	}
	return candidates[0].app, false
}

// first returns the first application of a namespace.
func (a *assigner) first(namespace string) migration.Application { return a.apps[namespace][0].app }

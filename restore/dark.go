package restore

import (
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/internal/migration"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A lever is the one field of an object that says whether it runs.
type lever struct {
	field string
	// off is the field's value while the object rests.
	off any
	// jobs says that what runs fires by itself: it rests in the read-only state too (I7).
	jobs bool
}

// leverOf returns the lever of a kind, and false for kinds that do not run or cannot rest.
func leverOf(k key) (lever, bool) {
	switch {
	case k.is("apps", "Deployment", "StatefulSet", "ReplicaSet"), k.is("", "ReplicationController"):
		return lever{field: "replicas", off: int64(0)}, true
	case k.is("batch", "CronJob", "Job"), k.is("argoproj.io", "CronWorkflow"):
		return lever{field: "suspend", off: true, jobs: true}, true
	}
	return lever{}, false
}

// waitsForStart reports whether an object has no resting state: it is made when its application starts.
func waitsForStart(k key, dark migration.Dark) bool {
	switch {
	case k.is("keda.sh", "ScaledJob"):
		return true
	case k.is("apps", "DaemonSet"), k.is("", "Pod"), k.is("keda.sh", "ScaledObject"):
		return dark != migration.DarkReadOnly
	}
	return false
}

// darkOf returns the state in which an application waits for its turn. What belongs to none rests.
func (o Options) darkOf(app string) migration.Dark {
	a, ok := o.app(app)
	if !ok || a.Dark == "" {
		return migration.DarkScaled
	}
	return a.Dark
}

// darken puts an object to rest: it neither writes nor fires before its application's turn. The values that it had are in
// the archive and nowhere else.
func darken(obj *unstructured.Unstructured, dark migration.Dark) {
	l, ok := leverOf(keyOf(obj))
	spec := dig(obj.Object, "spec")
	if ok && spec != nil && (l.jobs || dark != migration.DarkReadOnly) {
		spec[l.field] = l.off
	}
}

// readOnlyPatches returns the patches of the freeze that hold an application's green side back: they are applied before
// the objects are made, so that green never runs without them.
func readOnlyPatches(app migration.Application) []migration.PatchHook {
	if app.Dark != migration.DarkReadOnly || app.Freeze == nil {
		return nil
	}
	var patches []migration.PatchHook
	for _, h := range app.Freeze.Enter {
		if h.Patch != nil {
			patches = append(patches, *h.Patch)
		}
	}
	return patches
}

// freezes reports whether a hook's patch is meant for the object of blue with this key.
func freezes(h migration.PatchHook, app migration.Application, k key) bool {
	return k == key{h.Group, h.Kind, app.Namespace, h.Name}
}

// checkDark returns why an application cannot wait in the state that the file declares.
func checkDark(app migration.Application, has func(key) bool) error {
	if app.Dark != migration.DarkReadOnly || app.Writes == migration.WritesNone {
		return nil
	}
	patches := readOnlyPatches(app)
	if len(patches) == 0 {
		return fmt.Errorf("the state read-only needs a patch among the hooks of freeze.enter: a request can reach green's pods only after they could already write")
	}
	missing := slices.IndexFunc(patches, func(h migration.PatchHook) bool {
		return !has(key{h.Group, h.Kind, app.Namespace, h.Name})
	})
	if missing >= 0 {
		h := patches[missing]
		return fmt.Errorf("the freeze patches %s, which the archive does not hold", key{h.Group, h.Kind, app.Namespace, h.Name})
	}
	return nil
}

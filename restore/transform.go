package restore

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A transformer makes green's object of blue's. It depends on the options and on which versions green serves, on nothing
// else: the same archive gives the same objects.
//
//	blue's object ─ convert ─ strip ─ patch ─ bind ─ map names, classes, images, hosts, ports ─ label ─> as it will run
//	                                                                                   └─ darken ─> as it waits
type transformer struct {
	opts   Options
	served func(group, kind string) []string
	// onePlace says that green is blue's own cluster: what has no namespace stands there under its name already.
	onePlace bool
}

// running returns the object as it is on green once its application may write, in green's names.
func (t transformer) running(blue *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	obj := blue.DeepCopy()
	was, labels := keyOf(obj), obj.GetLabels()
	if err := convert(obj, t.served); err != nil {
		return nil, err
	}
	strip(obj)
	blankOwners(obj)
	if t.onePlace {
		leaveKept(obj, t.opts.keptBy(was))
	}
	maps := t.opts.Maps
	mapClasses(obj, maps)
	mapImages(obj, maps.Registries)
	mapHosts(obj, maps.Hosts)
	mapPorts(obj, t.opts.Ports)
	for i, p := range t.opts.Patches {
		hit, err := matches(p.Target, was, labels)
		if err == nil && hit {
			err = applyPatch(obj, p)
		}
		if err != nil {
			return nil, fmt.Errorf("patches[%d]: %w", i, err)
		}
	}
	for _, b := range t.opts.Binds {
		if binds(b, was) {
			bind(obj, b)
		}
	}
	namespaceMap(maps.Namespaces).apply(obj)
	if t.onePlace && was.is(rbacGroup, "ClusterRoleBinding") {
		// Blue's binding keeps its name for those whom it binds; nothing refers to a binding by its name.
		obj.SetName(was.Name + "-" + t.opts.Migration)
		onlyMoved(obj, blue)
	}
	mark(obj, t.opts.Migration)
	return obj, nil
}

// waiting returns the object as it is on green before its application's turn.
func (t transformer) waiting(e archive.Entry, blue, running *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	obj := running.DeepCopy()
	if app, ok := t.opts.app(e.App); ok {
		for _, h := range readOnlyPatches(app) {
			if !freezes(h, app, keyOf(blue)) {
				continue
			}
			if err := applyPatch(obj, migration.Patch{Merge: h.Merge}); err != nil {
				return nil, fmt.Errorf("freeze of application %s: %w", app.Name, err)
			}
		}
	}
	darken(obj, t.opts.darkOf(e.App))
	return obj, nil
}

// onlyMoved leaves out the subjects of a binding that are the same on both sides: blue's binding binds them already.
func onlyMoved(obj, blue *unstructured.Unstructured) {
	was := digList(blue.Object, "subjects")
	obj.Object["subjects"] = slices.DeleteFunc(digList(obj.Object, "subjects"), func(subject any) bool {
		return slices.ContainsFunc(was, func(old any) bool { return reflect.DeepEqual(old, subject) })
	})
}

// mark labels an object as this migration's.
func mark(obj *unstructured.Unstructured, name string) {
	labels := obj.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[kube.LabelMigration] = name
	obj.SetLabels(labels)
}

// stamp writes the hash of the content on the object. The hash does not cover the stamp, the label and owners' uids.
func stamp(obj *unstructured.Unstructured) string {
	hash := kube.Hash(obj)
	annotations := obj.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[kube.AnnotationContent] = hash
	obj.SetAnnotations(annotations)
	return hash
}

// blankOwners drops the owners of claims, which a StatefulSet of green takes over by its own rules, and empties the uids of owners: blue's are stale, and with one the garbage collector would delete the object.
// Green's are filled in just before the write.
func blankOwners(obj *unstructured.Unstructured) {
	if keyOf(obj).is("", "PersistentVolumeClaim") {
		delete(dig(obj.Object, "metadata"), "ownerReferences")
	}
	for _, ref := range digMaps(obj.Object, "metadata", "ownerReferences") {
		ref["uid"] = ""
	}
}

package restore

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// mapImages moves the images of every container, init and ephemeral ones too, to green's registries.
func mapImages(obj *unstructured.Unstructured, registries map[string]string) {
	if len(registries) == 0 {
		return
	}
	podTemplates(obj, func(spec, _ map[string]any) {
		for _, c := range containers(spec) {
			if image := digString(c, "image"); image != "" {
				c["image"] = mapImage(image, registries)
			}
		}
		for _, volume := range digMaps(spec, "volumes") {
			if image := digString(volume, "image", "reference"); image != "" {
				dig(volume, "image")["reference"] = mapImage(image, registries)
			}
		}
	})
}

// mapImage replaces the longest prefix that the table names and that ends where a part of the name ends. An image without
// a registry is looked up under the full name that container runtimes give it, too.
func mapImage(image string, registries map[string]string) string {
	if to, ok := longestPrefix(image, registries); ok {
		return to
	}
	if to, ok := longestPrefix(fullName(image), registries); ok {
		return to
	}
	return image
}

func longestPrefix(image string, registries map[string]string) (string, bool) {
	best := ""
	for from := range registries {
		prefix := strings.TrimSuffix(from, "/")
		rest, ok := strings.CutPrefix(image, prefix)
		if ok && len(from) > len(best) && (rest == "" || strings.ContainsAny(rest[:1], "/:@")) {
			best = from
		}
	}
	if best == "" {
		return "", false
	}
	return strings.TrimSuffix(registries[best], "/") + strings.TrimPrefix(image, strings.TrimSuffix(best, "/")), true
}

// fullName is the name with the registry and folder that runtimes add to a short one.
func fullName(image string) string {
	first, _, sub := strings.Cut(image, "/")
	switch {
	case !sub:
		return "docker.io/library/" + image
	case strings.ContainsAny(first, ".:") || first == "localhost":
		return image
	default:
		return "docker.io/" + image
	}
}

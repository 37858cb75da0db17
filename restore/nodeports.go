package restore

import (
	"math"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// mapPorts gives a Service its numbers on green. A number that the map does not know is dropped: green picks one, or none
// where the Service says that its balancer needs none.
func mapPorts(obj *unstructured.Unstructured, ports map[int32]int32) {
	if !keyOf(obj).is("", "Service") {
		return
	}
	spec := dig(obj.Object, "spec")
	for _, port := range digMaps(spec, "ports") {
		mapPort(port, "nodePort", ports)
	}
	mapPort(spec, "healthCheckNodePort", ports)
}

func mapPort(at map[string]any, field string, ports map[int32]int32) {
	old, ok := digInt(at, field)
	delete(at, field)
	if !ok || old <= 0 || old > math.MaxUint16 {
		return
	}
	if to, mapped := ports[int32(old)]; mapped {
		at[field] = int64(to)
	}
}

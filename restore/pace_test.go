package restore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// many are objects of 1 KiB without references.
func many(t testing.TB, n int) []*unstructured.Unstructured {
	t.Helper()
	out := make([]*unstructured.Unstructured, 0, n)
	for i := range n {
		out = append(out, parse(t, "shop", fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d}\ndata: {v: %s}", i, strings.Repeat("x", 1024)))...)
	}
	return out
}

func TestK23_ManyObjectsGoAtTheServersPace(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, twoObjects)
	const n = 2000
	f.opts.Archive = archived(t, 1, "shop", many(t, n)...)
	p := f.plan(t)
	began := time.Now()
	res := f.apply(t, p, &plan.MemoryRecorder{})
	took := time.Since(began)
	if res.Created != n {
		t.Fatalf("made %+v", res)
	}
	t.Logf("%d objects in %s: %.0f/s", n, took, n/took.Seconds())
	// A client-side limit of 20 a second would take 100 s.
	if took.Seconds() > n/50 {
		t.Errorf("%d objects took %s: something holds the client back", n, took)
	}
}

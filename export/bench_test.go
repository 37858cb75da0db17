package export_test

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/export"
	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// BenchmarkExport exports 5,000 Secrets and 5,000 ConfigMaps of 1 KiB from a real API server into a folder, with the
// Secrets encrypted and the whole verified by reading it back.
func BenchmarkExport(b *testing.B) {
	const each = 5000
	c := kubetest.Connect(b)
	ns := kubetest.Namespace(b, c)
	kib := make([]byte, 1<<10)
	for i := range kib {
		kib[i] = 'a' + byte(i%26)
	}
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(32)
	for i := range each {
		meta := metav1.ObjectMeta{Name: fmt.Sprintf("o-%05d", i)}
		group.Go(func() error {
			_, err := c.Typed.CoreV1().Secrets(ns).Create(ctx, &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"k": kib, "n": []byte(meta.Name)}}, metav1.CreateOptions{})
			return err
		})
		group.Go(func() error {
			_, err := c.Typed.CoreV1().ConfigMaps(ns).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"k": string(kib)}}, metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	e := newExporter(b, c, app("shop", ns, ""))
	for b.Loop() {
		e.opts.Store = &archive.Dir{Path: b.TempDir()}
		p, err := export.Plan(b.Context(), e.opts)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := export.Apply(b.Context(), p, &plan.MemoryRecorder{}, e.opts); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(2*each*b.N)/b.Elapsed().Seconds(), "objects/s")
}

package archive_test

import (
	"fmt"
	"testing"

	"github.com/crossfade-project/crossfade/internal/archive"
)

// The archive is proven whole before every stage that needs it as a backup: this is what that costs.
func BenchmarkVerify(b *testing.B) {
	for _, n := range []int{100, 5000} {
		b.Run(fmt.Sprintf("objects=%d", n), func(b *testing.B) {
			dir := &archive.Dir{Path: b.TempDir()}
			w, err := archive.OpenWriter(b.Context(), dir, archive.Options{})
			if err != nil {
				b.Fatal(err)
			}
			for i := range n {
				if _, err := w.Put(b.Context(), archive.Entry{App: "shop"}, object("ConfigMap", fmt.Sprintf("c%d", i), map[string]any{"n": fmt.Sprint(i)})); err != nil {
					b.Fatal(err)
				}
			}
			if _, err := w.Commit(b.Context(), archive.Index{}); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			for b.Loop() {
				r, err := archive.Open(b.Context(), dir, archive.Options{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := r.Verify(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

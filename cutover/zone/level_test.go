package zone_test

import (
	"slices"
	"testing"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

func TestWildcardsAbove(t *testing.T) {
	for _, tt := range []struct {
		name, apex string
		want       []string
	}{
		{"a.b.apps.test.", "apps.test.", []string{"*.b.apps.test.", "*.apps.test."}},
		{"shop.apps.test.", "apps.test.", []string{"*.apps.test."}},
		{"apps.test.", "apps.test.", nil},
		{"a.test.", ".", []string{"*.test.", "*."}},
	} {
		if got := slices.Collect(zone.WildcardsAbove(tt.name, tt.apex)); !slices.Equal(got, tt.want) {
			t.Errorf("%s in %s: %v, want %v", tt.name, tt.apex, got, tt.want)
		}
	}
}

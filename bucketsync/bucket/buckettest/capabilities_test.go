package buckettest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest"
)

// TestCapabilities prints what the drivers say of their stores; the checks of the suite hold them to it.
func TestCapabilities(t *testing.T) {
	all := drivers()
	var table strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		d := all[name](t)
		b, err := d.Open(t, buckettest.At{Bucket: "cf-describe", Endpoint: d.Endpoint})
		if err != nil {
			t.Fatal(err)
		}
		c := b.Describe()
		if c.Endpoint != d.Endpoint {
			t.Errorf("%s: the endpoint is %q, want %q", name, c.Endpoint, d.Endpoint)
		}
		if _, err := bucket.ParseURL(c.URL); err != nil && c.Provider != "memory" {
			t.Errorf("%s: %v", name, err)
		}
		fmt.Fprintf(&table, "\n%-13s order by bytes %-5t absent %-5t match %-5t tags %-5t redirect %-5t expires %-5t object %-16d key %-4d metadata %-4d parts %d",
			name, c.Order == bucket.ByBytes, c.ConditionalPut, c.ConditionalWrite, c.Tags, c.WebsiteRedirect, c.Expires, c.MaxObjectSize, c.MaxKeyLength, c.MaxMetadataSize, c.MaxParts)
	}
	t.Log(table.String())
}

package memory_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/memory"
	"github.com/crossfade-project/crossfade/cutover/zone/zonetest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	z, err := memory.New("apps.test.")
	if err != nil {
		t.Fatal(err)
	}
	zonetest.Run(t, zonetest.Target{Zone: z, Put: func(t *testing.T, sets ...zone.RRset) {
		t.Helper()
		if err := z.Put(sets...); err != nil {
			t.Fatal(err)
		}
	}})
}

func Example() {
	ctx := context.Background()
	blue := zone.RRset{Name: "shop.apps.test.", Type: "CNAME", TTL: 60, Data: []string{"blue.lb.test."}}
	green := zone.RRset{Name: "shop.apps.test.", Type: "CNAME", TTL: 60, Data: []string{"green.lb.test."}}
	z, err := memory.New("apps.test.", blue)
	if err != nil {
		panic(err)
	}
	at, err := zone.FenceName("shop.apps.test.", z.Apex())
	if err != nil {
		panic(err)
	}
	fence := zone.Fence{Name: at, Token: "migration-7"}
	if err := z.Claim(ctx, "shop.apps.test.", fence, ""); err != nil {
		panic(err)
	}
	change := zone.Change{Name: "shop.apps.test.", Old: []zone.RRset{blue}, New: []zone.RRset{green}, Fence: fence}
	result, err := z.Swap(ctx, change)
	fmt.Println(result.Applied, result.After[0].Data, err)
	result, err = z.Swap(ctx, change.Reverse())
	fmt.Println(result.Applied, result.After[0].Data, err)
	// Output:
	// true [green.lb.test.] <nil>
	// true [blue.lb.test.] <nil>
}

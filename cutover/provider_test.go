package cutover_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/clouddns"
	"github.com/crossfade-project/crossfade/cutover/zone/clouddns/clouddnsfake"
	"github.com/crossfade-project/crossfade/cutover/zone/route53"
	"github.com/crossfade-project/crossfade/cutover/zone/route53/route53fake"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// TestC16_AWholeCutoverAtRoute53: TTL, swap, return and restoring, at the project's fake of the service: the servers show a change 40 s
// after it was accepted, and the account makes five requests a second.
func TestC16_AWholeCutoverAtRoute53(t *testing.T) {
	w := newWorld(t)
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	fake := route53fake.New(route53fake.Options{Rate: 5, Spread: 40 * time.Second, Clock: w.clock})
	fake.AddZone("Z1", "apps.test.", false)
	ttl := int64(300)
	fake.Put("Z1", route53fake.RecordSet{Name: shopName, Type: "CNAME", TTL: &ttl, Records: route53fake.Records("blue.lb.test.")})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	driver, err := route53.New(t.Context(), route53.Options{
		Apex: "apps.test.", Endpoint: server.URL, Credentials: route53.Credentials{AccessKey: "AKID", SecretKey: "s"}, Clock: w.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	wholeCutover(t, w, driver, func(name, typ string) dnsx.RRset {
		set, ok := fake.Served("Z1", name, typ)
		if !ok {
			return dnsx.RRset{Name: name, Type: typ}
		}
		return dnsx.RRset{Name: name, Type: typ, TTL: uint32(*set.TTL), Data: set.Values()}
	})
	if n := fake.TurnedAway(); n > 0 {
		t.Errorf("%d requests were one too many", n)
	}
	if sets := fake.Sets("Z1"); len(sets) != 3 {
		t.Errorf("the zone is left with %+v", sets)
	}
}

// TestC17_AWholeCutoverAtCloudDNS is the same at the fake of Cloud DNS.
func TestC17_AWholeCutoverAtCloudDNS(t *testing.T) {
	w := newWorld(t)
	fake := clouddnsfake.New(clouddnsfake.Options{Project: "p", Spread: 40 * time.Second, Clock: w.clock})
	fake.AddZone("apps", "apps.test.")
	ttl := int64(300)
	fake.Put("apps", clouddnsfake.RecordSet{Name: shopName, Type: "CNAME", TTL: &ttl, Rrdatas: []string{"blue.lb.test."}})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	driver, err := clouddns.New(t.Context(), clouddns.Options{
		Apex: "apps.test.", Project: "p", ManagedZone: "apps", Endpoint: server.URL, Credentials: clouddns.Credentials{Anonymous: true}, Clock: w.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	wholeCutover(t, w, driver, func(name, typ string) dnsx.RRset {
		set, ok := fake.Served("apps", name, typ)
		if !ok {
			return dnsx.RRset{Name: name, Type: typ}
		}
		return dnsx.RRset{Name: name, Type: typ, TTL: uint32(*set.TTL), Data: set.Rrdatas}
	})
	if sets := fake.Sets("apps"); len(sets) != 3 {
		t.Errorf("the zone is left with %+v", sets)
	}
}

// wholeCutover goes to green, back to blue, and gives the name its TTL again, with a fence all the while.
func wholeCutover(t *testing.T, w *world, driver zone.Zone, served func(name, typ string) dnsx.RRset) {
	t.Helper()
	w.opts.Zones[0].Driver = driver
	w.names.served = served
	shows := func(target string, ttl uint32) {
		t.Helper()
		if got := served(shopName, "CNAME"); len(got.Data) != 1 || got.Data[0] != target || got.TTL != ttl {
			t.Fatalf("the servers show %+v, want %s with TTL %d", got, target, ttl)
		}
	}
	held := w.lowered(t)
	shows("blue.lb.test.", 10)
	opts := w.swapOptions(held)
	p, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	swapped, err := cutover.ApplySwap(t.Context(), p, w.rec, opts)
	if err != nil {
		t.Fatal(err)
	}
	shows("green.lb.test.", 10)
	if m := swapped.Names[0]; m.Strength != driver.Strength() || !m.Result.Applied || m.Result.Attempts != 1 {
		t.Errorf("moved = %+v", m)
	}
	back := cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: p}
	rp, err := cutover.PlanReturn(t.Context(), back)
	if err != nil {
		t.Fatal(err)
	}
	returned, err := cutover.ApplyReturn(t.Context(), rp, w.rec, back)
	if err != nil {
		t.Fatal(err)
	}
	shows("blue.lb.test.", 10)
	if _, err := driver.Swap(t.Context(), swapped.Names[0].Change); err == nil {
		t.Error("the writer from before the return still moves the name")
	}
	held.Names[0].Fence = returned.Fences[0]
	restore := cutover.RestoreOptions{Options: w.opts, Held: held.Names}
	tp, err := cutover.PlanRestoreTTL(t.Context(), restore)
	if err != nil {
		t.Fatal(err)
	}
	if err := cutover.ApplyRestoreTTL(t.Context(), tp, w.rec, restore); err != nil {
		t.Fatal(err)
	}
	shows("blue.lb.test.", 300)
	if fence := served(held.Names[0].Fence.Name, "TXT"); len(fence.Data) > 0 {
		t.Errorf("the fence is left: %+v", fence)
	}
}

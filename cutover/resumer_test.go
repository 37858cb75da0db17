package cutover_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/azuredns"
	"github.com/crossfade-project/crossfade/cutover/zone/azuredns/azurednsfake"
	"github.com/crossfade-project/crossfade/cutover/zone/memory"
)

// dualStack is a name with an A and an AAAA at Azure DNS, and the world around it. Green has only an IPv4 address, so that
// it takes two requests to move: another A, and no AAAA.
func dualStack(t *testing.T, gap time.Duration) (*world, *azurednsfake.Server) {
	t.Helper()
	w := newWorld(t)
	fake, err := azurednsfake.New("apps.test.")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	v4 := zone.RRset{Name: shopName, Type: "A", TTL: 300, Data: []string{w.blue.addr.Addr().String()}}
	v6 := zone.RRset{Name: shopName, Type: "AAAA", TTL: 300, Data: []string{"2001:db8::b"}}
	if err := fake.Put(v4, v6); err != nil {
		t.Fatal(err)
	}
	driver, err := azuredns.New(t.Context(), azuredns.Options{
		Apex: "apps.test.", Subscription: azurednsfake.Subscription, ResourceGroup: azurednsfake.ResourceGroup, Endpoint: fake.URL, Clock: w.clock, Gap: gap,
		Credential: fake.Credential(), Transport: fake.Transport(),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.opts.Zones[0].Driver = driver
	return w, fake
}

// follow lets the name servers show what the fake holds.
func follow(t *testing.T, w *world, fake *azurednsfake.Server) {
	t.Helper()
	sets, err := fake.Sets()
	if err != nil {
		t.Fatal(err)
	}
	if w.names.zone, err = memory.New("apps.test.", sets...); err != nil {
		t.Fatal(err)
	}
}

// TestC18_ABrokenOffSwapIsFinishedOrTakenBack: the process dies between the two requests of one change; the next one finds
// half of it, and goes on, or goes back when it is asked to. Somebody else's change is still refused.
func TestC18_ABrokenOffSwapIsFinishedOrTakenBack(t *testing.T) {
	for _, back := range []bool{false, true} {
		w, fake := dualStack(t, time.Minute)
		w.names.before = func() { follow(t, w, fake) }
		follow(t, w, fake)
		opts := w.swapOptions(w.lowered(t))
		p, err := cutover.PlanSwap(t.Context(), opts)
		if err != nil || len(p.Refusals) > 0 {
			t.Fatalf("%v, %v", p, err)
		}
		writes := 0
		fake.Refuse(func(r *http.Request) (int, string) {
			if r.Method != http.MethodGet {
				writes++ // the mark, the A, and then no more
			}
			if writes > 2 {
				return http.StatusServiceUnavailable, "Killed"
			}
			return 0, ""
		})
		if _, err := cutover.ApplySwap(t.Context(), p, w.rec, opts); err == nil {
			t.Fatal("the swap was not broken off")
		}
		fake.Refuse(nil)
		want := map[string][]string{"A": {w.green.addr.Addr().String()}, "AAAA": nil}
		if back {
			want = map[string][]string{"A": {w.blue.addr.Addr().String()}, "AAAA": {"2001:db8::b"}}
			ropts := cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: p}
			rp, err := cutover.PlanReturn(t.Context(), ropts)
			if err != nil || len(rp.Refusals) > 0 {
				t.Fatalf("%v, %v", rp, err)
			}
			if _, err := cutover.ApplyReturn(t.Context(), rp, w.rec, ropts); err != nil {
				t.Fatal(err)
			}
		} else if _, err := cutover.ApplySwap(t.Context(), p, w.rec, opts); err != nil {
			t.Fatal(err)
		}
		if meta := fake.Metadata("_crossfade-"+shopName, "TXT"); meta["crossfadeUnderway"] != "" {
			t.Errorf("back %t: the fence still says that a change is under way", back)
		}
		for typ, data := range want {
			if got, err := fake.Query(t.Context(), shopName, typ); !slices.Equal(got.Data, data) {
				t.Errorf("back %t: %s is %v, %v, want %v", back, typ, got.Data, err, data)
			}
		}
	}
}

// TestC18_WithoutAGapThePlanIsRefused: a dual-stack name at Azure DNS is refused with its mend while everything can still be mended in peace.
func TestC18_WithoutAGapThePlanIsRefused(t *testing.T) {
	w, fake := dualStack(t, 0)
	w.names.before = func() { follow(t, w, fake) }
	follow(t, w, fake)
	p, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil || !refusedFor(p, "azureDNS.gap") {
		t.Errorf("the plan of the TTLs: %v, %v", p.Refusals, err)
	}
	for typ, want := range map[string]string{"A": w.blue.addr.Addr().String(), "AAAA": "2001:db8::b"} {
		if got, err := fake.Query(t.Context(), shopName, typ); err != nil || got.Data[0] != want {
			t.Errorf("%s is %v, %v", typ, got, err)
		}
	}
}

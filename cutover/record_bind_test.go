package cutover_test

import (
	"slices"
	"testing"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// On a real server a wildcard answers for the name that is to be made, with another address, with green's own, or with the very record.
// It is made all the same, no cache gives the wildcard's answer any more when the name may lead to it, and it goes with the way back.
func TestARecordIsMadeUnderAWildcardOnARealServer(t *testing.T) {
	for what, wild := range map[string]struct {
		ttl  uint32
		data string
	}{
		"another address": {8, "192.0.2.66"}, "green's own": {8, ""}, "the very record": {1, ""},
	} {
		t.Run(what, func(t *testing.T) {
			dns := startBIND(t)
			blue, green := startSides(t)
			address := green.addr.Addr().String()
			if wild.data == "" {
				wild.data = address
			}
			err := dns.Add(t.Context(),
				dnsx.Record{Name: "blue.lb.test.", Type: "A", TTL: 60, Data: blue.addr.Addr().String()},
				dnsx.Record{Name: "*.apps.test.", Type: "A", TTL: wild.ttl, Data: wild.data},
				dnsx.Record{Name: shopName, Type: "CNAME", TTL: 3, Data: "blue.lb.test."})
			if err != nil {
				t.Fatal(err)
			}
			opts, driver := optionsAt(t, dns, blue, green)
			opts.Applications[0].Hostnames[0].Green = &migration.Entry{Address: address, MakeRecord: "green-shop.apps.test"}
			waitForSecondary(t, dns)
			leadsTo := func() string {
				reply, err := dns.Client().Ask(t.Context(), dns.Resolver.Addr(), madeName, "A", true)
				if err != nil || len(reply.Set(madeName, "A").Data) != 1 {
					t.Fatalf("the resolver answers %+v, %v", reply, err)
				}
				return reply.Set(madeName, "A").Data[0]
			}
			ownRecords := func() int {
				sets, err := driver.List(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for _, s := range sets {
					if s.Name == madeName {
						n++
					}
				}
				return n
			}
			if got := leadsTo(); got != wild.data {
				t.Fatalf("before it is made, %s leads to %s", madeName, got)
			}

			p, err := cutover.PlanTTL(t.Context(), opts)
			if err != nil || len(p.Refusals) > 0 {
				t.Fatalf("%+v, %v", p, err)
			}
			held, err := cutover.ApplyTTL(t.Context(), p, &plan.MemoryRecorder{}, opts)
			if err != nil {
				t.Fatal(err)
			}
			if got := leadsTo(); got != address {
				t.Errorf("caches lead to %s still, not to %s", got, address)
			}
			if n := ownRecords(); n != 1 {
				t.Errorf("%d records were made", n)
			}
			// It was killed before that was recorded: made once more it is what it was.
			if _, err := cutover.ApplyTTL(t.Context(), only(p, madeName), &plan.MemoryRecorder{}, opts); err != nil {
				t.Error(err)
			}

			restore := cutover.RestoreOptions{Options: opts, Held: held.Names}
			back, err := cutover.PlanRestoreTTL(t.Context(), restore)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range []*plan.Plan{back, only(back, madeName)} { // and so is what was removed
				if err := cutover.ApplyRestoreTTL(t.Context(), p, &plan.MemoryRecorder{}, restore); err != nil {
					t.Fatal(err)
				}
			}
			if n := ownRecords(); n != 0 {
				t.Error("the record is left behind")
			}
			if set, err := driver.Lookup(t.Context(), madeName, "A"); err != nil || !zone.SameSets([]zone.RRset{set}, []zone.RRset{{Name: madeName, Type: "A", TTL: wild.ttl, Data: []string{wild.data}}}) {
				t.Errorf("the wildcard answers with %+v, %v", set, err)
			}
		})
	}
}

// only keeps what a plan does with one thing.
func only(p *plan.Plan, target string) *plan.Plan {
	part := *p
	part.Changes = slices.DeleteFunc(slices.Clone(p.Changes), func(c plan.Change) bool { return c.Target != target })
	return &part
}

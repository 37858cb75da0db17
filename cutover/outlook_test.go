package cutover_test

import (
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// TestC26_StrengthAndWaitsAreToldBeforeAnythingIsDone: names of one kind share a line.
func TestC26_StrengthAndWaitsAreToldBeforeAnythingIsDone(t *testing.T) {
	name := func(host string, ttl uint32) cutover.NameState {
		return cutover.NameState{
			Entries: cutover.Entries{App: "shop", Hostname: host, Blue: cutover.Entry{Target: "blue.lb.test."}},
			Zone:    "apps.test.", Records: []zone.RRset{cname(host, ttl, "blue.lb.test.")}, TTL: ttl, Strength: zone.Atomic,
		}
	}
	moved := name("moved.apps.test.", 60)
	moved.Green, moved.Records = cutover.Entry{Target: "green.lb.test."}, []zone.RRset{cname("moved.apps.test.", 60, "green.lb.test.")}
	proxied := name("shop.example.com.", 300)
	proxied.Zone, proxied.Strength, proxied.Proxied = "example.com.", zone.Weak, true
	opts := cutover.Options{Times: migration.Cutover{TTL: migration.Duration(30 * time.Second)}}
	got := cutover.Outlook(opts, cutover.Inspection{Names: []cutover.NameState{
		name("a.apps.test.", 300), name("b.apps.test.", 300), name("low.apps.test.", 20), name("c.apps.test.", 300), name("d.apps.test.", 300), moved, proxied,
		{Entries: cutover.Entries{Hostname: "gone.apps.test."}},
	}})
	const there = "every server shows it within 2m0s at most, then "
	want := []string{
		"zone apps.test.: a.apps.test., b.apps.test., c.apps.test. and 1 more: a swap is atomic; the TTL of 300s is lowered to 30s, and waited for first (5m0s old TTL + 5s margin = 5m5s); there: " + there,
		"zone apps.test.: low.apps.test.: a swap is atomic; the TTL of 20s stays, and is waited for first (",
		"zone example.com.: shop.example.com.: a swap is weak; the provider answers with addresses of its own, so that no TTL is lowered and none waited for",
	}
	for i, n := range got {
		if i < len(want) && !contains(n.What+": "+n.Text, want[i]) {
			t.Errorf("%s: %s\nwant %s", n.What, n.Text, want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d notes, want %d: %v", len(got), len(want), got)
	}
}
